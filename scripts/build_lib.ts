// Builds the npm package's files, dist/npm: mod.ts and what it imports, as JavaScript with types and
// source maps. The blocking client is in it because Bun loads it when encodeSync() is first called.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const OUTPUT = "dist/npm";

rmSync(OUTPUT, { recursive: true, force: true });
const build = Bun.spawnSync(["node_modules/.bin/tsc", "--project", "tsconfig.lib.json"], {
  stdio: ["ignore", "inherit", "inherit"],
});
if (!build.success) process.exit(build.exitCode);

// The compiler rewrites the endings of imports in code, and leaves them alone in types.
for (const name of readdirSync(OUTPUT, { recursive: true, encoding: "utf8" })) {
  if (!name.endsWith(".d.ts")) continue;
  const path = join(OUTPUT, name);
  const types = readFileSync(path, "utf8");
  writeFileSync(path, types.replace(/((?:from |import\()"\.{1,2}\/[^"]+)\.ts"/g, '$1.js"'));
}
