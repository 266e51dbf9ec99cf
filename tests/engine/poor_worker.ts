// The engine's worker on a machine without memory for large allocations (poor_globals.ts).
import "./poor_globals.ts";
import "../../daemon/munged/serve/worker.ts";
