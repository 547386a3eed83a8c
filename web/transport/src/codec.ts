// Payloads out of messages and into them.

import { decode as decodeCbor, encode as encodeCbor } from "cborg";
import type { Encoding, Message } from "./transport.ts";

/** A payload of the gateway. */
export interface Payload {
  op: number;
  d?: unknown;
  s?: number | null;
  t?: string | null;
}

const text = new TextDecoder("utf-8", { fatal: true });

export function encode(encoding: Encoding, payload: Payload): Message {
  return encoding === "json" ? JSON.stringify(payload) : encodeCbor(payload);
}

/** Reads a message; throws if it is no payload. */
export function decode(encoding: Encoding, message: Message): Payload {
  const value: unknown =
    encoding === "cbor" && typeof message !== "string"
      ? // Integers beyond 2^53, as ids are, come as `bigint`.
        decodeCbor(message)
      : JSON.parse(typeof message === "string" ? message : text.decode(message));
  if (typeof value !== "object" || value === null || typeof (value as Payload).op !== "number") {
    throw new Error("a message is no payload");
  }
  return value as Payload;
}
