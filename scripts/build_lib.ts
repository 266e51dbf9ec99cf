// Builds the npm package's files in dist/npm: mod.ts and what it imports, as JavaScript with types and source
// maps. They include the blocking client, which Bun loads when encodeSync() is first called.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const OUTPUT = "dist/npm";

rmSync(OUTPUT, { recursive: true, force: true });
const build = Bun.spawnSync(["node_modules/.bin/tsc", "--project", "tsconfig.lib.json"], {
  stdio: ["ignore", "inherit", "inherit"],
});
if (!build.success) process.exit(build.exitCode);

// The compiler rewrites the file extensions of imports in code, but not in types.
for (const name of readdirSync(OUTPUT, { recursive: true, encoding: "utf8" })) {
  if (!name.endsWith(".d.ts")) continue;
  const path = join(OUTPUT, name);
  const types = readFileSync(path, "utf8");
  writeFileSync(path, types.replace(/((?:from |import\()"\.{1,2}\/[^"]+)\.ts"/g, '$1.js"'));
}
