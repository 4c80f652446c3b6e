// The present, as the server sees it: ages must be right on a phone whose clock is off.

const SKEW_MIN_MS = 3000;

class Clock {
  /** Milliseconds since 1970 by the server's clock, renewed each second. */
  now = $state(Date.now());
  #skew = 0;

  start(): () => void {
    const timer = setInterval(() => this.#tick(), 1000);
    return () => clearInterval(timer);
  }

  /** From the `Date` header, which has whole seconds: a small difference is no difference. */
  serverTime(ms: number): void {
    const skew = ms - Date.now();
    this.#skew = Math.abs(skew) < SKEW_MIN_MS ? 0 : skew;
    this.#tick();
  }

  #tick(): void {
    this.now = Date.now() + this.#skew;
  }

  precise(): number {
    return Date.now() + this.#skew;
  }
}

export const clock = new Clock();
