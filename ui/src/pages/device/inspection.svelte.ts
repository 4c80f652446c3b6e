// What the panels of the inspector share: the options of the next operation, and which operation the curl line shows.

import { actions, type Operation, type Options } from "../../lib/state/actions.svelte";

export class Inspection {
  format = $state("");
  /** A span such as `30s`, or `queue`. */
  wait = $state("");
  /** Also the payload as it came. */
  raw = $state(false);
  shown: Operation | undefined = $state.raw();

  get options(): Options {
    const options: Options = {};
    if (this.format !== "") options.format = this.format;
    if (this.wait === "queue") options.queue = true;
    else if (this.wait !== "") options.wait = this.wait;
    if (this.raw) options.raw = true;
    return options;
  }

  /** The curl line follows what the hand is on. */
  show(operation: Operation): void {
    this.shown = operation;
  }

  async run(operation: Operation): Promise<boolean> {
    this.shown = operation;
    return (await actions.run(operation)).ok;
  }
}
