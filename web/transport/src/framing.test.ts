import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameDecoder, FramingError, encodeFrame } from "./framing.ts";
import type { Message } from "./transport.ts";

test("the wire is as documented", () => {
  assert.deepEqual([...encodeFrame("{}")], [0, 2, 0x7b, 0x7d]);
  assert.deepEqual([...encodeFrame(new Uint8Array(64)).subarray(0, 3)], [1, 0x40, 64]);
  assert.deepEqual([...encodeFrame(new Uint8Array(16_384)).subarray(0, 5)], [1, 0x80, 0, 0x40, 0]);
});

test("frames come out whole however they are cut", () => {
  const sent: Message[] = ["", "ä", "x".repeat(63), "x".repeat(64), "y".repeat(20_000), Uint8Array.of(1, 2, 3)];
  const frames = sent.map(encodeFrame);
  const wire = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  frames.reduce((at, frame) => (wire.set(frame, at), at + frame.length), 0);
  for (const step of [1, 2, 3, 7, 100, wire.length]) {
    const decoder = new FrameDecoder();
    const got: Message[] = [];
    for (let at = 0; at < wire.length; at += step) got.push(...decoder.push(wire.subarray(at, at + step)));
    assert.deepEqual(got, sent, `in steps of ${step}`);
  }
});

test("what is no frame is refused", () => {
  assert.throws(() => new FrameDecoder().push(Uint8Array.of(2, 0)), FramingError);
  assert.throws(() => new FrameDecoder().push(Uint8Array.of(0, 0xff, 255, 255, 255, 255, 255, 255, 255)), FramingError);
  assert.throws(() => new FrameDecoder().push(Uint8Array.of(0, 1, 0xff)));
});
