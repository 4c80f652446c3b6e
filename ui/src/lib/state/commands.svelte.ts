// The commands that the server keeps for one device: those that wait, and what became of the last ones.

import { SvelteMap } from "svelte/reactivity";
import { ApiError, endpointPath, type Call, type Client } from "../api/client";
import { WAITING_STATES, type Command, type Page, type ServerEvent } from "../api/types";

/** True while something may still happen to it. */
export function isOpen(command: Command): boolean {
  return WAITING_STATES.includes(command.state);
}

/** The open ones in the order in which they leave, then the ended ones, the latest first. */
export function inOrder(commands: Iterable<Command>): Command[] {
  const all = [...commands];
  const time = (text: string): number => Date.parse(text) || 0;
  // What is on its way goes before all; then the urgent ones, and equals as they stand: in the order they came, unless moved.
  const waits = (command: Command): number => (command.state === "sent" ? 0 : 1);
  const urgency = (command: Command): number => -(command.priority ?? 0);
  const number = (command: Command): number => Number(command.id.split("-").at(-1)) || 0;
  const place = (command: Command): number => command.place ?? 0;
  const open = all.filter(isOpen).sort(
    (a, b) => waits(a) - waits(b) || urgency(a) - urgency(b) || place(a) - place(b) || time(a.created_at) - time(b.created_at) || number(a) - number(b),
  );
  const ended = all.filter((command) => !isOpen(command)).sort((a, b) => time(b.changed_at) - time(a.changed_at));
  return [...open, ...ended];
}

/** Where one that waits shall stand: an end of the queue, or beside another. */
export type CommandMove = { position: "first" | "last" } | { before: string } | { after: string };

const address = (id: string, tail = ""): string => `/commands/${encodeURIComponent(id)}${tail}`;

/** What can be done with one command, and the same from a shell. */
export const commandCalls = {
  cancel: (id: string): Call => ({ method: "DELETE", path: address(id) }),
  retry: (id: string): Call => ({ method: "POST", path: address(id, "/retry") }),
  move: (id: string, to: CommandMove): Call => ({ method: "PATCH", path: address(id), body: to }),
};

export function moveArgs(id: string, to: CommandMove): string[] {
  if ("position" in to) return ["commands", "--move", id, `--${to.position}`];
  return "before" in to ? ["commands", "--move", id, "--before", to.before] : ["commands", "--move", id, "--after", to.after];
}

export class Commands {
  readonly known = new SvelteMap<string, Command>();
  loaded = $state(false);
  error = $state("");
  readonly endpoint: string;
  #client: Client;
  /** Told of since the list was asked for. */
  #told = new Set<string>();

  constructor(endpoint: string, client: Client) {
    this.endpoint = endpoint;
    this.#client = client;
  }

  get list(): Command[] {
    return inOrder(this.known.values());
  }

  get waiting(): number {
    return [...this.known.values()].filter(isOpen).length;
  }

  async load(): Promise<void> {
    await this.#try(async () => {
      this.#told.clear();
      const page = await this.#list();
      const listed = new Set(page.items.map((command) => command.id));
      // What was told while the list was on its way is newer than the list.
      for (const command of page.items) this.#take(command);
      for (const id of [...this.known.keys()]) if (!listed.has(id) && !this.#told.has(id)) this.known.delete(id);
      this.loaded = true;
    });
  }

  /** Of a device that never was there is nothing, which is no mistake. */
  async #list(): Promise<Page<Command>> {
    try {
      return await this.#client.call<Page<Command>>({ method: "GET", path: endpointPath(this.endpoint, "commands") });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return { items: [] };
      throw error;
    }
  }

  async cancel(id: string): Promise<void> {
    await this.#do(commandCalls.cancel(id));
  }

  /** Queues once more what an ended one was to do. */
  async retry(id: string): Promise<void> {
    await this.#do(commandCalls.retry(id));
  }

  async move(id: string, to: CommandMove): Promise<void> {
    await this.#do(commandCalls.move(id, to));
  }

  async #do(call: Call): Promise<void> {
    await this.#try(async () => {
      await this.#client.call(call);
    });
    const error = this.error;
    await this.load();
    // Why it could not be done is worth more than that the list is fresh.
    if (error !== "") this.error = error;
  }

  event(event: ServerEvent): void {
    if (event.endpoint !== this.endpoint || !event.command) return;
    this.#told.add(event.command.id);
    this.#take(event.command);
  }

  #take(command: Command): void {
    const before = this.known.get(command.id);
    if (before && Date.parse(before.changed_at) > Date.parse(command.changed_at)) return;
    this.known.set(command.id, command);
  }

  async #try(body: () => Promise<void>): Promise<void> {
    try {
      await body();
      this.error = "";
    } catch (error) {
      this.error = error instanceof Error ? error.message : String(error);
    }
  }
}
