// How long to wait before the next attempt: a random time below a bound that doubles, so that clients who lost the
// gateway together do not come back together.

export class Backoff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #attempts = 0;

  constructor(baseMs: number, maxMs: number, random: () => number = Math.random) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** The next pause in milliseconds. */
  next(): number {
    const bound = Math.min(this.#maxMs, this.#baseMs * 2 ** this.#attempts);
    this.#attempts += 1;
    return Math.round(this.#random() * bound);
  }

  /** The next failure is the first again. */
  reset(): void {
    this.#attempts = 0;
  }
}
