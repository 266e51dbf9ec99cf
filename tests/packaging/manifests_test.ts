// The manifests against Kubernetes' published schema, in the form of TypeScript types generated from it: an unknown field,
// a missing one or one of the wrong type is an error of the compiler. And the rules that every container here keeps.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import type { DaemonSet } from "kubernetes-types/apps/v1.d.ts";
import type { Container, Pod, PodSpec } from "kubernetes-types/core/v1.d.ts";
import type { PriorityClass } from "kubernetes-types/scheduling/v1.d.ts";
import { VERSION } from "../../lib/version.ts";

const MANIFESTS = "packaging/kubernetes";
/** The schema's module of each kind of object in the manifests. */
const MODULES: Readonly<Record<string, string>> = {
  "apps/v1 DaemonSet": "apps/v1",
  "v1 Pod": "core/v1",
  "scheduling.k8s.io/v1 PriorityClass": "scheduling/v1",
};

// Below the project, where the compiler finds the schema.
mkdirSync("node_modules/.cache", { recursive: true });
const directory = mkdtempSync("node_modules/.cache/manifests-");
after(() => rmSync(directory, { recursive: true }));

type Manifest = DaemonSet | Pod | PriorityClass;

/** The objects in a manifest. */
function parse(text: string): Manifest[] {
  return text.split(/^---$/m).map((document) => Bun.YAML.parse(document) as Manifest);
}

/** What the compiler says about objects. */
function complaints(objects: readonly Manifest[]): string {
  const source = objects.map((object, at) => {
    const { apiVersion, kind } = object;
    const module = MODULES[`${apiVersion} ${kind}`];
    assert(module !== undefined, `${apiVersion} ${kind}`);
    return `export const _${at}: import("kubernetes-types/${module}.d.ts").${kind} = ` +
      `${JSON.stringify(object, null, 1)};\n`;
  }).join("");
  const path = join(directory, "manifest.ts");
  writeFileSync(path, source);
  const args = ["--ignoreConfig", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext"];
  const { stdout, stderr } = spawnSync(resolve("node_modules/.bin/tsc"), [...args, path], {
    encoding: "utf8",
  });
  return stdout + stderr;
}

function specOf(object: Manifest): PodSpec | undefined {
  if (!("spec" in object)) return undefined;
  return "template" in object.spec! ? object.spec.template.spec : object.spec as PodSpec;
}

const read = (name: string) => parse(readFileSync(join(MANIFESTS, name), "utf8"));
const names = readdirSync(MANIFESTS).filter((name) => name.endsWith(".yaml"));

for (const name of names) {
  test(`${name} conforms to Kubernetes' schema`, () => assert.equal(complaints(read(name)), ""));

  test(`the containers of ${name} have no more rights than they need`, () => {
    for (const spec of read(name).map(specOf)) {
      if (spec === undefined) continue;
      assert.equal(spec.automountServiceAccountToken, false);
      assert(spec.priorityClassName !== undefined && spec.tolerations !== undefined);
      const containers = [...spec.containers, ...spec.initContainers ?? []];
      for (const { image, imagePullPolicy, resources } of containers) {
        assert.match(image!, /:[\w.]*\d/);
        assert.equal(imagePullPolicy, "IfNotPresent");
        assert(resources?.requests?.["memory"] !== undefined);
      }
      const ours = containers.filter(({ image }) => image!.startsWith("mungebox:"));
      assert(ours.length > 0);
      for (const { name, image, securityContext, args, resources } of ours) {
        assert.equal(image, `mungebox:${VERSION}`);
        assert.equal(securityContext?.allowPrivilegeEscalation, false);
        assert.equal(securityContext?.readOnlyRootFilesystem, true);
        assert.equal(securityContext?.seccompProfile?.type, "RuntimeDefault");
        assert.deepEqual(securityContext?.capabilities?.drop, ["ALL"]);
        assert(resources?.limits?.["memory"] !== undefined);
        const isRoot = name === "directories";
        assert.equal(securityContext?.runAsNonRoot ?? false, !isRoot);
        assert.deepEqual(securityContext?.capabilities?.add, isRoot ? ["CHOWN"] : undefined);
        assert.deepEqual(args, isRoot ? ["--make-directories"] : undefined);
      }
      const munged = containers.find(({ name }) => name === "munged")!;
      for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"] as const) {
        assert.deepEqual(munged[probe]?.exec?.command, ["/usr/bin/mungebox", "health"], probe);
      }
      const keyed = containers.filter(({ volumeMounts }) =>
        volumeMounts?.some(({ name }) => name === "key")
      );
      assert.deepEqual(keyed, [munged]);
      assert.equal(munged.volumeMounts?.find(({ name }) => name === "key")?.readOnly, true);
    }
  });
}

test("slurmd starts after munged, and ends before it", () => {
  const spec = read("slurm-pod.yaml").map(specOf).find((spec) => spec !== undefined)!;
  const munged = spec.initContainers!.find(({ name }) => name === "munged")!;
  assert.equal(munged.restartPolicy, "Always");
  assert(munged.startupProbe !== undefined);
});

const MISTAKES: readonly [string, (pod: Pod, container: Container) => void][] = [
  ["an unknown field", (pod) => Object.assign(pod.spec!, { toleration: [] })],
  ["an unknown field deep inside", (_pod, { securityContext }) => {
    Object.assign(securityContext!.capabilities!, { dropped: ["ALL"] });
  }],
  ["a wrong type", (_pod, { livenessProbe }) => {
    Object.assign(livenessProbe!, { periodSeconds: "30" });
  }],
  ["a missing field", (_pod, container) => {
    delete (container as Partial<Container>).name;
  }],
];
for (const [what, make] of MISTAKES) {
  test(`the schema would notice ${what}`, () => {
    const pod = read("slurm-pod.yaml").find(({ kind }) => kind === "Pod") as Pod;
    make(pod, pod.spec!.initContainers![0]!);
    assert.match(complaints([pod]), /error TS(2353|2561|2322|2741): /);
  });
}
