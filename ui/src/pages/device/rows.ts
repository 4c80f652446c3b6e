// The rows of a set: one for each value that is known below its paths, and one for each path without any.

import type { ObjectModel, ResourceModel, ValueType } from "../../lib/api/types";
import { comparePaths, contains, parsePath } from "../../lib/lwm2m/path";
import { joined } from "../../lib/state/paging";
import type { Value } from "../../lib/state/twin.svelte";

export interface SetRow {
  path: string;
  ids: number[];
  object: string | undefined;
  model: ResourceModel | undefined;
  value: Value | undefined;
  /** What a Write has to carry; undefined = it cannot be written. */
  type: ValueType | undefined;
}

export function setRows(
  paths: string[],
  values: ReadonlyMap<string, Value>,
  models: (id: number) => ObjectModel | null | undefined,
): SetRow[] {
  const rows: SetRow[] = [];
  for (const path of paths) {
    const inside = [...values.keys()].filter((at) => contains(path, at)).sort(comparePaths);
    for (const at of inside.length > 0 ? inside : [path]) {
      const ids = parsePath(at) ?? [];
      const object = ids[0] === undefined ? undefined : models(ids[0]);
      const model = object?.resources.find((candidate) => candidate.id === ids[2]);
      const value = values.get(at);
      rows.push({ path: at, ids, object: object?.name, model, value, type: writableType(ids, model, value) });
    }
  }
  // Paths that somebody else chose may cover each other.
  return joined([], rows, (row) => row.path);
}

/** Write-Composite addresses single resources and resource instances. */
function writableType(ids: number[], model: ResourceModel | undefined, value: Value | undefined): ValueType | undefined {
  if (ids.length < 3 || (model && !model.operations.includes("W"))) return undefined;
  if (ids.length === 3 && model?.multiple) return undefined;
  return model?.type ?? value?.type;
}
