// Server-Sent Events, read from bytes: the browser's EventSource can send no bearer token and hides heartbeats.

export interface SseMessage {
  id?: string;
  event?: string;
  data: string;
}

/** Takes the stream in pieces as they come and gives whole messages (WHATWG HTML 9.2.6). */
export class SseParser {
  #rest = "";
  #id: string | undefined;
  #event: string | undefined;
  #data: string[] = [];

  push(text: string): SseMessage[] {
    const messages: SseMessage[] = [];
    this.#rest += text;
    for (;;) {
      const end = this.#rest.search(/[\r\n]/);
      if (end < 0) break;
      // A CR at the very end may be the first half of CRLF.
      if (this.#rest[end] === "\r" && end + 1 === this.#rest.length) break;
      const crlf = this.#rest[end] === "\r" && this.#rest[end + 1] === "\n";
      const line = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + (crlf ? 2 : 1));
      this.#line(line, messages);
    }
    return messages;
  }

  #line(line: string, messages: SseMessage[]): void {
    if (line === "") {
      if (this.#data.length > 0) {
        const message: SseMessage = { data: this.#data.join("\n") };
        if (this.#id !== undefined) message.id = this.#id;
        if (this.#event !== undefined) message.event = this.#event;
        messages.push(message);
      }
      this.#data = [];
      this.#event = undefined;
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }
}
