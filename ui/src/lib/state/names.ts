// What a resource of a device is called, by its definition in the version that the device has.

import type { Registration, ResourceModel } from "../api/types";
import { parsePath } from "../lwm2m/path";
import { models } from "./models.svelte";

export interface Named {
  ids: number[];
  /** `Temperature` */
  object: string | undefined;
  model: ResourceModel | undefined;
}

export function named(device: Pick<Registration, "objects">, path: string): Named {
  const ids = parsePath(path) ?? [];
  const version = device.objects.find((object) => object.version && parsePath(object.path)?.[0] === ids[0])?.version;
  const object = ids[0] === undefined ? undefined : models.object(ids[0], version);
  return { ids, object: object?.name, model: object?.resources.find((candidate) => candidate.id === ids[2]) };
}

/** A column of the list by the name of its resource; where two have the same, or none is known, its path tells them apart. */
export function columnName(path: string, columns: readonly string[]): string {
  const name = models.resource(path)?.name;
  if (name === undefined) return path;
  const isAlone = columns.every((other) => other === path || models.resource(other)?.name !== name);
  return isAlone ? name : `${name} ${path}`;
}

/** `Temperature, Sensor Value`, `Temperature 1, Sensor Value`, or the path where nothing is known. */
export function fullName(device: Pick<Registration, "objects">, path: string): string {
  const { ids, object, model } = named(device, path);
  if (!object) return path;
  const instance = (ids[1] ?? 0) > 0 ? ` ${ids[1]}` : "";
  if (ids.length < 3) return `${object}${instance}`;
  return `${object}${instance}, ${model?.name ?? `resource ${ids[2]}`}${ids.length > 3 ? ` ${ids[3]}` : ""}`;
}
