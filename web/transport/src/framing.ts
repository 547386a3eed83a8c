// Frames of the ordered stream: kind (one byte), length (a QUIC variable-length integer), payload. docs/webtransport.md.

import type { Message } from "./transport.ts";

const TEXT = 0;
const BINARY = 1;
/** No payload of a gateway is longer; a length beyond it means that the stream is not what it should be. */
const PAYLOAD_MAX_BYTES = 64 * 1024 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

export class FramingError extends Error {}

export function encodeFrame(message: Message): Uint8Array {
  const payload = typeof message === "string" ? encoder.encode(message) : message;
  const length = payload.length;
  const lengthBytes = length < 0x40 ? 1 : length < 0x4000 ? 2 : 4;
  const frame = new Uint8Array(1 + lengthBytes + length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, typeof message === "string" ? TEXT : BINARY);
  if (lengthBytes === 1) view.setUint8(1, length);
  else if (lengthBytes === 2) view.setUint16(1, 0x4000 | length);
  else view.setUint32(1, 0x80000000 + length);
  frame.set(payload, 1 + lengthBytes);
  return frame;
}

/** Puts frames together out of what the stream gives. */
export class FrameDecoder {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  /** Takes what was read; the messages that are whole now. */
  push(piece: Uint8Array): Message[] {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    const messages: Message[] = [];
    for (let message = this.#next(); message !== undefined; message = this.#next()) messages.push(message);
    return messages;
  }

  #next(): Message | undefined {
    const header = this.#peek(9);
    const [kind, first] = header;
    if (kind === undefined) return undefined;
    if (kind > BINARY) throw new FramingError(`no kind of frame has the number ${kind}`);
    if (first === undefined) return undefined;
    const lengthBytes = 1 << (first >> 6);
    if (header.length < 1 + lengthBytes) return undefined;
    let length = first & 0x3f;
    for (let i = 1; i < lengthBytes; i++) length = length * 256 + (header[1 + i] ?? 0);
    if (length > PAYLOAD_MAX_BYTES) throw new FramingError("a frame is too long");
    const headerBytes = 1 + lengthBytes;
    if (this.#bytes < headerBytes + length) return undefined;
    const payload = this.#take(headerBytes + length).subarray(headerBytes);
    return kind === TEXT ? decoder.decode(payload) : payload;
  }

  /** The first bytes, joined: frames are read piece by piece, and a long one comes in thousands of them. */
  #peek(count: number): Uint8Array {
    const first = this.#pieces[0];
    if (!first || first.length >= count || this.#pieces.length === 1) return (first ?? new Uint8Array()).subarray(0, count);
    const bytes = new Uint8Array(Math.min(count, this.#bytes));
    let filled = 0;
    for (const piece of this.#pieces) {
      if (filled === bytes.length) break;
      const part = piece.subarray(0, bytes.length - filled);
      bytes.set(part, filled);
      filled += part.length;
    }
    return bytes;
  }

  #take(count: number): Uint8Array {
    this.#bytes -= count;
    const first = this.#pieces[0];
    if (first && first.length >= count) {
      if (first.length === count) this.#pieces.shift();
      else this.#pieces[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    const bytes = new Uint8Array(count);
    let filled = 0;
    let used = 0;
    for (const piece of this.#pieces) {
      const part = piece.subarray(0, count - filled);
      bytes.set(part, filled);
      filled += part.length;
      if (part.length < piece.length) {
        this.#pieces[used] = piece.subarray(part.length);
        break;
      }
      used += 1;
      if (filled === count) break;
    }
    this.#pieces.splice(0, used);
    return bytes;
  }
}
