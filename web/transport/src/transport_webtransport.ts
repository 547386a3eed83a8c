// The gateway over WebTransport: one ordered stream both ways, and datagrams.

import { FrameDecoder, encodeFrame } from "./framing.ts";
import { ABNORMAL, type Closed, type Connect, type Encoding, type Endpoints, type Message, type Transport, type TransportHandlers } from "./transport.ts";

/** Opens a session and its stream. */
export const connectWebTransport: Connect = async (endpoints, encoding, handlers, signal) => {
  if (typeof WebTransport === "undefined") throw new Error("this browser has no WebTransport");
  if (endpoints.webtransport_url === null) throw new Error("this gateway has no WebTransport");
  signal.throwIfAborted();
  const session = new WebTransport(address(endpoints.webtransport_url, encoding), {
    congestionControl: "low-latency",
    serverCertificateHashes: hashes(endpoints),
  });
  const giveUp = () => session.close();
  signal.addEventListener("abort", giveUp);
  try {
    // `closed` rejects too if the session does not come about, and says nothing more.
    session.closed.catch(() => {});
    await session.ready;
    const stream = await session.createBidirectionalStream();
    signal.throwIfAborted();
    return new WebTransportTransport(session, stream, handlers);
  } catch (error) {
    session.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
};

function address(url: string, encoding: Encoding): string {
  return `${url.replace(/\/+$/, "")}/gateway?v=10&encoding=${encoding}`;
}

function hashes(endpoints: Endpoints): WebTransportHash[] {
  return endpoints.webtransport_cert_sha256.map((hex) => ({
    algorithm: "sha-256",
    value: Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16)),
  }));
}

class WebTransportTransport implements Transport {
  readonly kind = "webtransport";
  readonly #session: WebTransport;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #handlers: TransportHandlers;
  /** What this end closed with, which the browser does not tell again. */
  #closing: Closed | undefined;
  #isClosed = false;

  constructor(session: WebTransport, stream: WebTransportBidirectionalStream, handlers: TransportHandlers) {
    this.#session = session;
    this.#writer = stream.writable.getWriter();
    this.#handlers = handlers;
    const reading = this.#readStream(stream.readable);
    void this.#readDatagrams(session.datagrams.readable);
    session.closed.then(
      // What arrived before the close is handled before it.
      ({ closeCode, reason }) => void reading.then(() => this.#end(this.#closing ?? { code: closeCode || 1005, reason: reason ?? "" })),
      () => void reading.then(() => this.#end(this.#closing ?? ABNORMAL)),
    );
  }

  send(message: Message): void {
    // A write fails only with the session, whose end is told by `closed`.
    this.#writer.write(encodeFrame(message)).catch(() => {});
  }

  close(code: number, reason: string): void {
    this.#closing ??= { code, reason };
    this.#session.close({ closeCode: code, reason });
  }

  async #readStream(readable: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new FrameDecoder();
    const reader = readable.getReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        for (const message of decoder.push(value)) {
          if (!this.#isClosed) this.#handlers.message(message);
        }
      }
    } catch (error) {
      // The stream ends with the session; if the session is still there, the server broke the framing.
      if (!(error instanceof WebTransportError)) this.close(4002, "Error while decoding payload.");
    }
  }

  async #readDatagrams(readable: ReadableStream<Uint8Array>): Promise<void> {
    const reader = readable.getReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        if (!this.#isClosed) this.#handlers.datagram(value);
      }
    } catch {
      // They end with the session.
    }
  }

  #end(closed: Closed): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#handlers.closed(closed);
  }
}
