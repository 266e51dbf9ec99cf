// The engine's worker, ready at once in one thread only (late_globals.ts).
import "./late_globals.ts";
import "../../daemon/munged/serve/worker.ts";
