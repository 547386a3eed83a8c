import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "./backoff.ts";

test("pauses double up to a bound and start anew", () => {
  const backoff = new Backoff(1_000, 10_000, () => 1);
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(() => backoff.next()), [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  backoff.reset();
  assert.equal(backoff.next(), 1_000);
});

test("pauses are spread over all of their bound", () => {
  const pauses = [0, 0.25, 0.999].map((random) => new Backoff(1_000, 10_000, () => random).next());
  assert.deepEqual(pauses, [0, 250, 999]);
});
