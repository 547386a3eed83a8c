import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode } from "./codec.ts";

test("payloads survive both encodings", () => {
  const payload = { op: 2, d: { token: "t", intents: 513, properties: { os: "web" }, list: [1, null, true, "ä"] } };
  for (const encoding of ["json", "cbor"] as const) assert.deepEqual(decode(encoding, encode(encoding, payload)), payload);
});

test("ids in CBOR are exact beyond 2^53", () => {
  // {"op": 0, "s": 7, "t": "X", "d": {"id": 1139000000000000001}}
  const bytes = Uint8Array.from([
    0xa4, 0x62, 0x6f, 0x70, 0x00, 0x61, 0x73, 0x07, 0x61, 0x74, 0x61, 0x58, 0x61, 0x64, 0xa1, 0x62, 0x69, 0x64, 0x1b,
    0x0f, 0xce, 0x8a, 0x70, 0xbb, 0xa0, 0x80, 0x01,
  ]);
  assert.deepEqual(decode("cbor", bytes), { op: 0, s: 7, t: "X", d: { id: 0x0fce8a70bba08001n } });
});

test("what is no payload is refused", () => {
  for (const bad of ["", "null", "[]", '"x"', "{}", '{"op":"1"}']) assert.throws(() => decode("json", bad), bad);
  for (const bad of [[], [0xf6], [0x80], [0xa0], [0xff, 0x00]]) assert.throws(() => decode("cbor", Uint8Array.from(bad)), `${bad}`);
});
