import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { TriggerAuthentication } from "@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { HorizontalPodAutoscaler } from "kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler";
import { Job } from "kubernetes-models/batch/v1/Job";
import { Ingress } from "kubernetes-models/networking.k8s.io/v1/Ingress";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { Namespace } from "kubernetes-models/v1/Namespace";
import { Service } from "kubernetes-models/v1/Service";
import { beforeAll, describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const FOLDER = `${ROOT}infra/kubernetes`;

/** What every kind must look like, by Kubernetes' and KEDA's own schemas. */
const KINDS = {
  Deployment,
  HorizontalPodAutoscaler,
  Ingress,
  Job,
  Namespace,
  NetworkPolicy,
  PodDisruptionBudget,
  ScaledObject,
  Service,
  TriggerAuthentication,
};

interface Container {
  name: string;
  command?: string[];
  env: { name: string; value: string }[];
  ports?: { name: string; containerPort: number }[];
  securityContext: object;
}

/** As far as the tests look into it. */
interface Manifest {
  kind: keyof typeof KINDS;
  apiVersion: string;
  metadata: { name: string };
  spec: {
    template: {
      metadata: { labels: Record<string, string> };
      spec: { containers: Container[]; volumes: { secret: { secretName: string } }[]; securityContext: object };
    };
    selector: { matchLabels: Record<string, string> };
    scaleTargetRef: { name: string; kind?: string };
    secretTargetRef: { name: string; key: string }[];
    triggers: { authenticationRef: { name: string } }[];
    rules: { http: { paths: { backend: { service: { name: string; port: { name: string } } } }[] } }[];
    ports: { name: string; targetPort: string }[];
  };
}

/**
 * What the compiler says of manifests as values of their kinds' types: unlike the schemas, it knows which
 * fields there are.
 */
async function complaintsAbout(manifests: readonly Manifest[]): Promise<string> {
  const lines = manifests.flatMap((manifest, index) => {
    const of = manifest.apiVersion.startsWith("keda.sh/") ? "@kubernetes-models/keda" : "kubernetes-models";
    return [
      `import type { I${manifest.kind} as Kind${index} } from "${of}/${manifest.apiVersion}/${manifest.kind}";`,
      `export const manifest${index}: Kind${index} = ${JSON.stringify(manifest)};`,
    ];
  });
  // Beside the packages that have the types.
  const folder = await mkdtemp(`${ROOT}services/standalone/node_modules/.manifests-`);
  try {
    await writeFile(`${folder}/manifests.ts`, lines.join("\n"));
    const options = ["--ignoreConfig", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--pretty", "false"];
    return await new Promise((resolve) => {
      execFile(`${ROOT}node_modules/.bin/tsc`, [...options, `${folder}/manifests.ts`], (_error, stdout) => resolve(stdout));
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("the manifests for Kubernetes", () => {
  const manifests: Manifest[] = [];
  let kustomization: { resources: string[]; configMapGenerator: { name: string; literals: string[] }[] };
  let readme: string;

  beforeAll(async () => {
    kustomization = parse(await readFile(`${FOLDER}/kustomization.yaml`, "utf8")) as typeof kustomization;
    readme = await readFile(`${FOLDER}/README.md`, "utf8");
    for (const file of kustomization.resources) {
      for (const document of parseAllDocuments(await readFile(`${FOLDER}/${file}`, "utf8"))) {
        expect(document.errors).toEqual([]);
        manifests.push(document.toJS() as Manifest);
      }
    }
  });

  const find = (kind: keyof typeof KINDS, name: string): Manifest => {
    const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
    if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
    return found;
  };
  const workloads = (): Manifest[] => manifests.filter(({ kind }) => kind === "Deployment" || kind === "Job");
  const containerOf = (manifest: Manifest): Container => manifest.spec.template.spec.containers[0] as Container;

  it("are all in the kustomization", async () => {
    const files = (await readdir(FOLDER)).filter((name) => name.endsWith(".yaml") && name !== "kustomization.yaml");
    expect([...kustomization.resources].sort()).toEqual(files.sort());
  });

  it("are valid by the schemas of their kinds", () => {
    expect(manifests.length).toBeGreaterThan(10);
    for (const manifest of manifests) {
      const Kind = KINDS[manifest.kind] as unknown as new (data: Manifest) => { apiVersion: string; validate(): void };
      expect([manifest.kind, Kind]).not.toEqual([manifest.kind, undefined]);
      const made = new Kind(manifest);
      expect(made.apiVersion).toBe(manifest.apiVersion);
      made.validate();
    }
    expect(() => new Deployment({ ...find("Deployment", "listener"), spec: { replicas: "two" } } as never).validate()).toThrow();
  });

  it("have no field that their kinds do not know", async () => {
    expect(await complaintsAbout(manifests)).toBe("");
    const misspelt = structuredClone(find("Deployment", "listener"));
    const container = containerOf(misspelt) as unknown as Record<string, unknown>;
    container["readinesProbe"] = container["readinessProbe"];
    expect(await complaintsAbout([misspelt])).toContain(`'"readinesProbe"' does not exist in type 'IContainer'`);
  });

  it("name nothing that is not there", () => {
    for (const manifest of manifests) {
      const { kind, metadata, spec } = manifest;
      if (kind === "HorizontalPodAutoscaler" || kind === "ScaledObject") find("Deployment", spec.scaleTargetRef.name);
      if (kind === "ScaledObject")
        for (const trigger of spec.triggers) find("TriggerAuthentication", trigger.authenticationRef.name);
      if (kind === "Deployment" || kind === "PodDisruptionBudget") {
        const { labels } = find("Deployment", metadata.name).spec.template.metadata;
        expect(labels).toMatchObject(spec.selector.matchLabels);
      }
      if (kind === "Service") {
        const deployment = find("Deployment", metadata.name);
        expect(deployment.spec.template.metadata.labels).toMatchObject(spec.selector as never);
        const ports = containerOf(deployment).ports?.map(({ name }) => name);
        for (const port of spec.ports) expect(ports).toContain(port.targetPort);
      }
      if (kind === "Ingress") {
        for (const { backend } of spec.rules.flatMap((rule) => rule.http.paths)) {
          const service = find("Service", backend.service.name);
          expect(service.spec.ports.map(({ name }) => name)).toContain(backend.service.port.name);
        }
      }
    }
  });

  it("run what is in the image, with settings that there are and secrets that the README makes", async () => {
    const example = await readFile(`${ROOT}.env.example`, "utf8");
    const secrets = new Set([...readme.matchAll(/--from-literal=(\w+)=/gu)].map((match) => match[1]));
    const literals = kustomization.configMapGenerator.flatMap((generator) => generator.literals);
    for (const literal of literals) expect(example).toContain(`\n${literal.split("=")[0]}=`);
    expect(workloads()).toHaveLength(3);
    for (const workload of workloads()) {
      const { command, env } = containerOf(workload);
      if (command?.[0] === "node") await readFile(`${ROOT}${(command[1] as string).replace(/\.js$/u, ".ts")}`);
      for (const { name, value } of env) {
        if (name === "NODE_OPTIONS") continue;
        expect(example).toMatch(new RegExp(`\\b${name}\\b`, "u"));
        expect(secrets).toContain(value.replace("/secrets/messenger/", ""));
      }
    }
    for (const { name, key } of find("TriggerAuthentication", "rabbitmq").spec.secretTargetRef) {
      expect(name).toBe("messenger");
      expect(secrets).toContain(key);
    }
  });

  it("run nothing as root, with a capability, or with a file system that can be written to", () => {
    for (const workload of workloads()) {
      expect(workload.spec.template.spec.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 });
      for (const container of workload.spec.template.spec.containers) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
      }
    }
  });
});
