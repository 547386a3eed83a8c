// What a transport of the gateway is, whichever it is.

/** A message as the session wrote it: text is JSON, bytes are CBOR. */
export type Message = string | Uint8Array;

/** How a connection ended. */
export interface Closed {
  /** The gateway's close code; 1006 if the connection broke without one. */
  code: number;
  reason: string;
}

export interface TransportHandlers {
  /** A message of the ordered stream. */
  message(message: Message): void;
  /** A message beside the stream, without a place in its order. */
  datagram(message: Uint8Array): void;
  /** Called once, and nothing after it. */
  closed(closed: Closed): void;
}

/** An open connection. */
export interface Transport {
  readonly kind: "webtransport" | "websocket";
  send(message: Message): void;
  /** Ends the connection; `closed` follows. */
  close(code: number, reason: string): void;
}

/** Where the gateway is, as `POST /gateway/url` answers. */
export interface Endpoints {
  url: string;
  webtransport_url: string | null;
  /** SHA-256 of the certificates to trust, in hexadecimal digits; empty where a CA stands behind them. */
  webtransport_cert_sha256: string[];
}

export type Encoding = "json" | "cbor";

/** Opens a connection; rejects if there is none, or when the signal aborts. */
export type Connect = (
  endpoints: Endpoints,
  encoding: Encoding,
  handlers: TransportHandlers,
  signal: AbortSignal,
) => Promise<Transport>;

/** A connection broke without a code. */
export const ABNORMAL: Closed = { code: 1006, reason: "" };
