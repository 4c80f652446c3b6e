// What an object link of the device that is shown can lead to.

import { getContext, setContext } from "svelte";

export interface LinkTarget {
  object: number;
  instance: number;
  /** Of the object; empty where it has no name. */
  name: string;
}

const KEY = Symbol("links");

/** Called by the page of a device, for the editors inside it. */
export function offerLinks(targets: () => LinkTarget[]): void {
  setContext(KEY, targets);
}

export function linksHere(): () => LinkTarget[] {
  return getContext<(() => LinkTarget[]) | undefined>(KEY) ?? (() => []);
}
