// The object tree of a device, from what it registered, what it showed, and what the definitions say.

import type { ObjectModel, ObjectRef, ResourceModel } from "../../lib/api/types";
import { contains, parsePath } from "../../lib/lwm2m/path";
import { formatValue } from "../../lib/lwm2m/values";
import type { Twin } from "../../lib/state/twin.svelte";

export interface ObjectBranch {
  id: number;
  path: string;
  version: string | undefined;
  instances: { id: number; path: string }[];
}

/** Objects in order, each with its instances in order. */
export function objectTree(registered: ObjectRef[], present: Iterable<string>): ObjectBranch[] {
  const branches = new Map<number, { version: string | undefined; instances: Set<number> }>();
  const branch = (id: number): { version: string | undefined; instances: Set<number> } => {
    const found = branches.get(id) ?? { version: undefined, instances: new Set<number>() };
    branches.set(id, found);
    return found;
  };
  for (const { path, version } of registered) {
    const [object, instance] = parsePath(path) ?? [];
    if (object === undefined) continue;
    const at = branch(object);
    if (version) at.version = version;
    if (instance !== undefined) at.instances.add(instance);
  }
  for (const path of present) {
    const [object, instance] = parsePath(path) ?? [];
    if (object !== undefined && instance !== undefined && branches.has(object)) branch(object).instances.add(instance);
  }
  return [...branches]
    .sort(([a], [b]) => a - b)
    .map(([id, { version, instances }]) => ({
      id,
      path: `/${id}`,
      version,
      instances: [...instances].sort((a, b) => a - b).map((instance) => ({ id: instance, path: `/${id}/${instance}` })),
    }));
}

export interface ResourceLeaf {
  id: number;
  path: string;
  model: ResourceModel | undefined;
  /** The device has shown it. False = the definition knows it, the device did not list it. */
  present: boolean;
  instances: { id: number; path: string }[];
}

/** The resources of an instance: those the device showed and those its definition knows. */
export function resourcesOf(
  instance: string,
  model: ObjectModel | null | undefined,
  present: Iterable<string>,
): ResourceLeaf[] {
  const leaves = new Map<number, ResourceLeaf>();
  for (const resource of model?.resources ?? []) {
    const path = `${instance}/${resource.id}`;
    leaves.set(resource.id, { id: resource.id, path, model: resource, present: false, instances: [] });
  }
  for (const path of present) {
    if (!path.startsWith(`${instance}/`)) continue;
    const [, , id, sub] = parsePath(path) ?? [];
    if (id === undefined) continue;
    const leaf = leaves.get(id) ?? { id, path: `${instance}/${id}`, model: undefined, present: true, instances: [] };
    leaf.present = true;
    if (sub !== undefined) leaf.instances.push({ id: sub, path });
    leaves.set(id, leaf);
  }
  for (const leaf of leaves.values()) leaf.instances.sort((a, b) => a.id - b.id);
  return [...leaves.values()].sort((a, b) => a.id - b.id);
}

/** True when the device does not have a resource that its definition knows, by the best knowledge there is. */
export function isAbsent(leaf: ResourceLeaf, complete: "read" | "discover" | undefined): boolean {
  if (leaf.present || complete === undefined) return false;
  // What can only be executed or written never shows in a Read, so its absence there says nothing.
  const silent = leaf.model !== undefined && !leaf.model.operations.includes("R");
  return complete === "discover" || !silent || leaf.model?.operations === "";
}

/** True when a known value at or below a path has the text, in lower case, in it. */
export function says(twin: Pick<Twin, "values">, path: string, text: string): boolean {
  for (const [at, value] of twin.values) {
    if (contains(path, at) && formatValue(value.value, value.type).toLowerCase().includes(text)) return true;
  }
  return false;
}
