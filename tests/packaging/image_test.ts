// The container image, made without an engine: its format, and that builds are identical.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { VERSION } from "../../lib/version.ts";
import { buildImage, NO_POD, succeed } from "./pod.ts";
import { underStrictUmask } from "./umask.ts";

const directory = mkdtempSync(join(tmpdir(), "mungebox-image-"));
after(() => rmSync(directory, { recursive: true }));

const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

test(
  "the image is a valid Docker archive, and the same whatever the umask",
  { skip: NO_POD },
  () => {
    const image = buildImage(join(directory, "first"));
    const again = underStrictUmask(() => buildImage(join(directory, "again")));
    assert.ok(readFileSync(image).equals(readFileSync(again)));
    const layout = join(directory, "layout");
    mkdirSync(layout);
    succeed("tar", "-xf", image, "-C", layout);
    const [{ Config, RepoTags, Layers }, ...others] = readJson(join(layout, "manifest.json"));
    assert.deepEqual(others, []);
    assert.deepEqual(RepoTags, [`mungebox:${VERSION}`]);
    const { config, rootfs } = readJson(join(layout, Config));
    assert.equal(`${sha256(join(layout, Config))}.json`, Config);
    assert.equal(config.User, "65532:65532");
    assert.deepEqual(config.Healthcheck.Test, ["CMD", "/usr/bin/mungebox", "health"]);
    const layer = join(layout, Layers[0]);
    assert.deepEqual(rootfs.diff_ids, [`sha256:${sha256(layer)}`]);
    const files = succeed("tar", "-tf", layer).split("\n");
    assert.deepEqual(files.filter((name) => /^\.\/usr\/bin\/./.test(name)).sort(), [
      "./usr/bin/create-munge-key",
      "./usr/bin/munge",
      "./usr/bin/mungebox",
      "./usr/bin/munged",
      "./usr/bin/mungekey",
      "./usr/bin/remunge",
      "./usr/bin/unmunge",
    ]);
  },
);
