// The engine's worker with a fatal flaw (mortal_globals.ts).
import "./mortal_globals.ts";
import "../../daemon/munged/serve/worker.ts";
