// A session with the gateway: IDENTIFY, heartbeats, RESUME over whichever transport gets through.

import { Backoff } from "./backoff.ts";
import { CLOSE_CODES_WITHOUT_RECONNECT, CloseCode, Opcode } from "./codes.ts";
import { type Payload, decode, encode } from "./codec.ts";
import type { Closed, Connect, Encoding, Endpoints, Message, Transport, TransportHandlers } from "./transport.ts";
import { connectWebSocket } from "./transport_websocket.ts";
import { connectWebTransport } from "./transport_webtransport.ts";

/** WebTransport gets so long before WebSocket is tried; the switch is then done within two seconds. */
const FALL_BACK_AFTER_MS = 1_400;
/** Where UDP did not get through it is not tried again for so long. */
const RETRY_WEBTRANSPORT_AFTER_MS = 5 * 60_000;
const WEBSOCKET_OPENS_WITHIN_MS = 20_000;
/** A heartbeat out of turn that nobody answers for so long: the connection is gone. */
const PROBE_ANSWERED_WITHIN_MS = 5_000;
const BACKOFF_BASE_MS = 1_000;
const BACKOFF_MAX_MS = 60_000;
/** INVALID SESSION asks for a pause of one to five seconds. */
const INVALID_SESSION_PAUSE_MS = [1_000, 5_000] as const;

export interface GatewayOptions {
  token: string;
  /** Where the gateway is; asked before each connection, because certificates and gateways change. */
  discover(): Promise<Endpoints>;
  encoding?: Encoding;
  /** Bots name the events that they want; people's clients get all. */
  intents?: number;
  properties?: Record<string, string>;
  on: GatewayHandlers;
  /** For tests. */
  connect?: { webtransport: Connect; websocket: Connect };
  random?: () => number;
}

export interface GatewayHandlers {
  /** An event, in order; those that came beside the stream have no number. */
  dispatch(name: string, data: unknown, info: { seq: number | null; transport: Transport["kind"] }): void;
  /** The state changed. */
  state?(state: GatewayState): void;
}

export type GatewayState =
  | { is: "connecting" }
  | { is: "ready"; transport: Transport["kind"]; resumed: boolean }
  | { is: "waiting"; ms: number; closed: Closed }
  /** The gateway does not want this client as it is. */
  | { is: "refused"; closed: Closed }
  | { is: "stopped" };

interface Session {
  id: string;
  seq: number;
}

/** Keeps a session until it is stopped or refused. */
export class GatewayClient {
  readonly #options: GatewayOptions;
  readonly #backoff: Backoff;
  readonly #random: () => number;
  #session: Session | undefined;
  #connection: Connection | undefined;
  #webtransportFailedAt: number | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #opening: AbortController | undefined;
  #isStopped = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#backoff = new Backoff(BACKOFF_BASE_MS, BACKOFF_MAX_MS, this.#random);
  }

  /** The session's last number. */
  get seq(): number {
    return this.#session?.seq ?? 0;
  }

  get sessionId(): string | undefined {
    return this.#session?.id;
  }

  /** Connects, and stays connected. */
  start(): void {
    globalThis.addEventListener?.("online", this.#probe);
    void this.#open();
  }

  /** The network came back, perhaps at another address: a heartbeat tells the gateway where this client is now, and
   *  shows whether the connection still works. */
  readonly #probe = (): void => this.#connection?.beatNow();

  /** Gives the session up. */
  stop(): void {
    this.#isStopped = true;
    globalThis.removeEventListener?.("online", this.#probe);
    clearTimeout(this.#retry);
    this.#opening?.abort();
    this.#connection?.close(1000, "");
    this.#connection = undefined;
    this.#session = undefined;
    this.#tell({ is: "stopped" });
  }

  /** Drops the connection, as when the network is known to have changed; RESUME follows. */
  reconnect(): void {
    this.#connection?.close(4900, "");
  }

  /** Sends a payload of a session, such as UPDATE PRESENCE; false if nobody is connected. */
  send(op: Opcode, d: unknown): boolean {
    return this.#connection?.send({ op, d }) ?? false;
  }

  async #open(): Promise<void> {
    if (this.#isStopped) return;
    this.#tell({ is: "connecting" });
    const opening = new AbortController();
    this.#opening = opening;
    const connection = new Connection(this.#options.encoding ?? "json", this.#random, {
      hello: (connection) => this.#greet(connection),
      payload: (payload, kind) => this.#take(payload, kind),
      closed: (closed) => this.#lost(connection, closed),
    });
    try {
      const endpoints = await this.#options.discover();
      opening.signal.throwIfAborted();
      await this.#connect(connection, endpoints, opening.signal);
    } catch (error) {
      if (!opening.signal.aborted) this.#wait({ code: 1006, reason: String(error) });
      return;
    }
    if (this.#isStopped) connection.close(1000, "");
    // One that ended at once has been told of already.
    else if (!connection.isEnded) this.#connection = connection;
  }

  /** WebTransport if it opens in time, else WebSocket. */
  async #connect(connection: Connection, endpoints: Endpoints, signal: AbortSignal): Promise<void> {
    const { webtransport, websocket } = this.#options.connect ?? { webtransport: connectWebTransport, websocket: connectWebSocket };
    const failedAt = this.#webtransportFailedAt;
    const isWorthTrying = failedAt === undefined || Date.now() - failedAt > RETRY_WEBTRANSPORT_AFTER_MS;
    if (endpoints.webtransport_url !== null && isWorthTrying) {
      try {
        await connection.open(webtransport, endpoints, signal, FALL_BACK_AFTER_MS);
        this.#webtransportFailedAt = undefined;
        return;
      } catch {
        signal.throwIfAborted();
        this.#webtransportFailedAt = Date.now();
      }
    }
    await connection.open(websocket, endpoints, signal, WEBSOCKET_OPENS_WITHIN_MS);
  }

  #greet(connection: Connection): void {
    if (this.#session) {
      const { id, seq } = this.#session;
      connection.send({ op: Opcode.Resume, d: { token: this.#options.token, session_id: id, seq } });
    } else {
      const { token, intents, properties } = this.#options;
      const d = { token, properties: properties ?? { os: "web", browser: "rookery", device: "" }, ...(intents === undefined ? {} : { intents }) };
      connection.send({ op: Opcode.Identify, d });
    }
  }

  #take(payload: Payload, kind: Transport["kind"]): void {
    switch (payload.op) {
      case Opcode.Dispatch:
        return this.#dispatch(payload, kind);
      case Opcode.Reconnect:
        return this.reconnect();
      case Opcode.InvalidSession:
        return this.#invalid(payload.d === true);
    }
  }

  #dispatch(payload: Payload, kind: Transport["kind"]): void {
    const name = payload.t ?? "";
    const seq = payload.s ?? null;
    if (name === "READY") this.#session = { id: String((payload.d as { session_id: unknown }).session_id), seq: 0 };
    if (seq !== null && this.#session) this.#session.seq = seq;
    if (name === "READY" || name === "RESUMED") {
      this.#backoff.reset();
      this.#tell({ is: "ready", transport: kind, resumed: name === "RESUMED" });
    }
    this.#options.on.dispatch(name, payload.d, { seq, transport: kind });
  }

  #invalid(resumable: boolean): void {
    if (!resumable) this.#session = undefined;
    const connection = this.#connection;
    const [least, most] = INVALID_SESSION_PAUSE_MS;
    this.#retry = setTimeout(() => {
      if (connection && connection === this.#connection) this.#greet(connection);
    }, least + this.#random() * (most - least));
  }

  #lost(connection: Connection, closed: Closed): void {
    if (this.#connection === connection) this.#connection = undefined;
    if (this.#isStopped) return;
    if (CLOSE_CODES_WITHOUT_RECONNECT.has(closed.code)) {
      this.#isStopped = true;
      this.#session = undefined;
      this.#tell({ is: "refused", closed });
      return;
    }
    // The number was never given out: what this client knows of the session is wrong.
    if (closed.code === CloseCode.InvalidSeq) this.#session = undefined;
    this.#wait(closed);
  }

  #wait(closed: Closed): void {
    const ms = this.#backoff.next();
    this.#tell({ is: "waiting", ms, closed });
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#open(), ms);
  }

  #tell(state: GatewayState): void {
    this.#options.on.state?.(state);
  }
}

interface ConnectionHandlers {
  hello(connection: Connection): void;
  payload(payload: Payload, kind: Transport["kind"]): void;
  closed(closed: Closed): void;
}

/** One connection: its heartbeats, and payloads both ways. */
class Connection {
  readonly #encoding: Encoding;
  readonly #random: () => number;
  readonly #handlers: ConnectionHandlers;
  #transport: Transport | undefined;
  /** The transport whose messages count; those of one that was given up do not. */
  #attempt = 0;
  /** Messages that came before the transport was handed over. */
  #early: Message[] = [];
  #earlyClose: Closed | undefined;
  #heartbeat: ReturnType<typeof setTimeout> | undefined;
  #isAcknowledged = true;
  #seq: number | null = null;
  #isEnded = false;
  /** As HELLO asked. */
  #intervalMs: number | undefined;

  get isEnded(): boolean {
    return this.#isEnded;
  }

  constructor(encoding: Encoding, random: () => number, handlers: ConnectionHandlers) {
    this.#encoding = encoding;
    this.#random = random;
    this.#handlers = handlers;
  }

  async open(connect: Connect, endpoints: Endpoints, signal: AbortSignal, withinMs: number): Promise<void> {
    const attempt = ++this.#attempt;
    const late = new AbortController();
    const stop = () => late.abort(signal.reason);
    signal.addEventListener("abort", stop);
    const timer = setTimeout(() => late.abort(new Error("the connection took too long to open")), withinMs);
    const isCurrent = () => attempt === this.#attempt;
    const handlers: TransportHandlers = {
      message: (message) => isCurrent() && this.#receive(message),
      datagram: (message) => isCurrent() && this.#receiveDatagram(message),
      closed: (closed) => isCurrent() && this.#end(closed),
    };
    const aborted = new Promise<never>((_, reject) => late.signal.addEventListener("abort", () => reject(late.signal.reason)));
    try {
      const opened = connect(endpoints, this.#encoding, handlers, late.signal);
      // One that opens after all, when nobody waits for it any more.
      opened.then((transport) => late.signal.aborted && transport.close(1000, "")).catch(() => {});
      this.#transport = await Promise.race([opened, aborted]);
    } catch (error) {
      if (isCurrent()) this.#attempt += 1;
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
    for (const message of this.#early.splice(0)) this.#receive(message);
    if (this.#earlyClose) this.#end(this.#earlyClose);
  }

  send(payload: Payload): boolean {
    this.#transport?.send(encode(this.#encoding, payload));
    return this.#transport !== undefined;
  }

  close(code: number, reason: string): void {
    clearTimeout(this.#heartbeat);
    this.#transport?.close(code, reason);
  }

  #receive(message: Message): void {
    const transport = this.#transport;
    if (!transport) {
      this.#early.push(message);
      return;
    }
    let payload: Payload;
    try {
      payload = decode(this.#encoding, message);
    } catch {
      return this.close(4002, "");
    }
    if (typeof payload.s === "number") this.#seq = payload.s;
    switch (payload.op) {
      case Opcode.Hello: {
        const interval = Number((payload.d as { heartbeat_interval: unknown }).heartbeat_interval);
        this.#beatEvery(interval);
        return this.#handlers.hello(this);
      }
      case Opcode.HeartbeatAck:
        this.#isAcknowledged = true;
        return;
      case Opcode.Heartbeat:
        this.send({ op: Opcode.Heartbeat, d: this.#seq });
        return;
      default:
        this.#handlers.payload(payload, transport.kind);
    }
  }

  #receiveDatagram(message: Uint8Array): void {
    const transport = this.#transport;
    if (!transport) return;
    try {
      const payload = decode(this.#encoding, message);
      // Only events come beside the stream, and without a number.
      if (payload.op === Opcode.Dispatch && typeof payload.s !== "number") this.#handlers.payload(payload, transport.kind);
    } catch {
      // What may be lost may be broken.
    }
  }

  /** A heartbeat out of turn; one that is under way already is given a while longer. */
  beatNow(): void {
    if (this.#intervalMs === undefined || this.#isEnded) return;
    this.#isAcknowledged = true;
    this.#beat(PROBE_ANSWERED_WITHIN_MS);
  }

  /** The first at a random moment, so that clients who came together do not beat together. */
  #beatEvery(intervalMs: number): void {
    this.#intervalMs = intervalMs;
    clearTimeout(this.#heartbeat);
    this.#heartbeat = setTimeout(() => this.#beat(intervalMs), intervalMs * this.#random());
  }

  #beat(nextInMs: number): void {
    clearTimeout(this.#heartbeat);
    if (!this.#isAcknowledged) return this.close(4900, "no heartbeat was acknowledged");
    this.#isAcknowledged = false;
    this.send({ op: Opcode.Heartbeat, d: this.#seq });
    this.#heartbeat = setTimeout(() => this.#beat(this.#intervalMs ?? nextInMs), nextInMs);
  }

  #end(closed: Closed): void {
    if (!this.#transport) {
      this.#earlyClose = closed;
      return;
    }
    clearTimeout(this.#heartbeat);
    this.#isEnded = true;
    this.#attempt += 1;
    this.#handlers.closed(closed);
  }
}
