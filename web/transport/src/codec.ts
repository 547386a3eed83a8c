// Payloads out of messages and into them.

import { Decoder, Encoder } from "cbor-x";
import type { Encoding, Message } from "./transport.ts";

/** A payload of the gateway. */
export interface Payload {
  op: number;
  d?: unknown;
  s?: number | null;
  t?: string | null;
}

// Maps are objects and no extensions are spoken; integers beyond 2^53, as ids are, come as `bigint`.
const OPTIONS = { useRecords: false, mapsAsObjects: true, tagUint8Array: false } as const;
const cborDecoder = new Decoder(OPTIONS);
const cborEncoder = new Encoder(OPTIONS);
const text = new TextDecoder("utf-8", { fatal: true });

export function encode(encoding: Encoding, payload: Payload): Message {
  return encoding === "json" ? JSON.stringify(payload) : new Uint8Array(cborEncoder.encode(payload));
}

/** Reads a message; throws if it is no payload. */
export function decode(encoding: Encoding, message: Message): Payload {
  const value: unknown =
    encoding === "cbor" && typeof message !== "string"
      ? cborDecoder.decode(message)
      : JSON.parse(typeof message === "string" ? message : text.decode(message));
  if (typeof value !== "object" || value === null || typeof (value as Payload).op !== "number") {
    throw new Error("a message is no payload");
  }
  return value as Payload;
}
