import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { GatewayClient, type GatewayState } from "./gateway_client.ts";
import type { Closed, Connect, Endpoints, Message, Transport, TransportHandlers } from "./transport.ts";

const ENDPOINTS: Endpoints = { url: "ws://gateway", webtransport_url: "https://gateway", webtransport_cert_sha256: [] };

/** A server that a test plays. */
class Server {
  readonly opened: FakeConnection[] = [];
  readonly states: GatewayState[] = [];
  readonly events: [string, number | null][] = [];
  /** What the next attempts over WebTransport come to. */
  webtransport: "opens" | "fails" | "hangs" = "opens";

  client(): GatewayClient {
    return new GatewayClient({
      token: "token",
      discover: async () => ENDPOINTS,
      random: () => 0.5,
      connect: { webtransport: this.#connect("webtransport"), websocket: this.#connect("websocket") },
      on: {
        dispatch: (name, _, { seq }) => this.events.push([name, seq]),
        state: (state) => this.states.push(state),
      },
    });
  }

  #connect(kind: Transport["kind"]): Connect {
    return async (_endpoints, _encoding, handlers) => {
      if (kind === "webtransport" && this.webtransport === "fails") throw new Error("no UDP");
      if (kind === "webtransport" && this.webtransport === "hangs") return new Promise<Transport>(() => {});
      const connection = new FakeConnection(kind, handlers);
      this.opened.push(connection);
      return connection;
    };
  }

  get newest(): FakeConnection {
    const newest = this.opened.at(-1);
    assert.ok(newest, "a connection was opened");
    return newest;
  }
}

class FakeConnection implements Transport {
  readonly kind: Transport["kind"];
  readonly handlers: TransportHandlers;
  readonly sent: { op: number; d: unknown }[] = [];
  closedWith: Closed | undefined;

  constructor(kind: Transport["kind"], handlers: TransportHandlers) {
    this.kind = kind;
    this.handlers = handlers;
  }
  send(message: Message): void {
    this.sent.push(JSON.parse(message as string));
  }
  close(code: number, reason: string): void {
    this.closedWith = { code, reason };
    this.handlers.closed({ code, reason });
  }
  say(payload: object): void {
    this.handlers.message(JSON.stringify(payload));
  }
  hello(): void {
    this.say({ op: 10, d: { heartbeat_interval: 40_000 }, s: null, t: null });
  }
  ready(): void {
    this.say({ op: 0, t: "READY", s: 1, d: { session_id: "abc" } });
  }
}

/** Lets everything that is due happen: promises, then timers up to so many milliseconds ahead. */
async function pass(context: TestContext, ms = 0): Promise<void> {
  const settle = async () => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  await settle();
  context.mock.timers.tick(ms);
  await settle();
}

function prepare(context: TestContext): Server {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  return new Server();
}

test("it identifies, counts, and beats", async (context) => {
  const server = prepare(context);
  const client = server.client();
  client.start();
  await pass(context);
  const connection = server.newest;
  assert.equal(connection.kind, "webtransport");
  connection.hello();
  assert.equal(connection.sent[0]?.op, 2);
  connection.ready();
  connection.say({ op: 0, t: "MESSAGE_CREATE", s: 2, d: {} });
  connection.handlers.datagram(new TextEncoder().encode('{"op":0,"t":"TYPING_START","s":null,"d":{}}'));
  connection.handlers.datagram(Uint8Array.of(1, 2, 3));
  assert.deepEqual(server.events, [["READY", 1], ["MESSAGE_CREATE", 2], ["TYPING_START", null]]);
  assert.equal(client.seq, 2);
  await pass(context, 20_000);
  assert.deepEqual(connection.sent.at(-1), { op: 1, d: 2 });
  connection.say({ op: 11 });
  await pass(context, 40_000);
  assert.equal(connection.sent.filter(({ op }) => op === 1).length, 2);
  // Nobody answers: the connection is dead, whatever the transport says.
  await pass(context, 40_000);
  assert.equal(connection.closedWith?.code, 4900);
});

test("it looks at once whether the connection survived when the network comes back", async (context) => {
  // Node has no such event on its global object; a page has.
  const target = new EventTarget();
  const globals = globalThis as unknown as Record<string, unknown>;
  const names = ["addEventListener", "removeEventListener"] as const;
  for (const name of names) globals[name] = target[name].bind(target);
  context.after(() => names.forEach((name) => delete globals[name]));
  const server = prepare(context);
  const client = server.client();
  client.start();
  await pass(context);
  const connection = server.newest;
  connection.hello();
  connection.ready();
  target.dispatchEvent(new Event("online"));
  assert.deepEqual(connection.sent.at(-1), { op: 1, d: 1 });
  connection.say({ op: 11 });
  await pass(context, 5_000);
  assert.equal(server.states.at(-1)?.is, "ready");
  connection.say({ op: 11 });
  target.dispatchEvent(new Event("online"));
  await pass(context, 5_000);
  assert.equal(connection.closedWith?.code, 4900);
  client.stop();
});

test("it resumes where it was, after a pause", async (context) => {
  const server = prepare(context);
  server.client().start();
  await pass(context);
  server.newest.hello();
  server.newest.ready();
  server.newest.say({ op: 0, t: "A", s: 2, d: {} });
  server.newest.handlers.closed({ code: 1006, reason: "" });
  assert.deepEqual(server.states.at(-1), { is: "waiting", ms: 500, closed: { code: 1006, reason: "" } });
  await pass(context, 499);
  assert.equal(server.opened.length, 1);
  await pass(context, 1);
  assert.equal(server.opened.length, 2);
  server.newest.hello();
  assert.deepEqual(server.newest.sent[0], { op: 6, d: { token: "token", session_id: "abc", seq: 2 } });
  server.newest.say({ op: 0, t: "RESUMED", s: 3, d: {} });
  assert.deepEqual(server.states.at(-1), { is: "ready", transport: "webtransport", resumed: true });
});

test("it identifies anew when the session is gone", async (context) => {
  const server = prepare(context);
  server.client().start();
  await pass(context);
  server.newest.hello();
  server.newest.ready();
  server.newest.say({ op: 7, d: null });
  await pass(context, 500);
  server.newest.hello();
  server.newest.say({ op: 9, d: false });
  await pass(context, 2_999);
  assert.equal(server.newest.sent.length, 1);
  await pass(context, 1);
  assert.equal(server.newest.sent[1]?.op, 2);
});

test("it does not come back to a gateway that refuses it", async (context) => {
  const server = prepare(context);
  server.client().start();
  await pass(context);
  server.newest.hello();
  server.newest.handlers.closed({ code: 4004, reason: "Authentication failed." });
  assert.equal(server.states.at(-1)?.is, "refused");
  await pass(context, 1_000_000);
  assert.equal(server.opened.length, 1);
});

for (const failure of ["fails", "hangs"] as const) {
  test(`it falls back to WebSocket within two seconds when WebTransport ${failure}`, async (context) => {
    const server = prepare(context);
    server.webtransport = failure;
    server.client().start();
    await pass(context);
    await pass(context, 1_999);
    assert.deepEqual(server.opened.map(({ kind }) => kind), ["websocket"]);
    server.newest.hello();
    server.newest.ready();
    assert.deepEqual(server.states.at(-1), { is: "ready", transport: "websocket", resumed: false });
    // It does not try WebTransport again at once, but later.
    server.webtransport = "opens";
    server.newest.handlers.closed({ code: 1006, reason: "" });
    await pass(context, 500);
    assert.equal(server.newest.kind, "websocket");
    server.newest.hello();
    await pass(context, 5 * 60_000);
    server.newest.handlers.closed({ code: 1006, reason: "" });
    await pass(context, 60_000);
    assert.equal(server.newest.kind, "webtransport");
  });
}

test("pauses grow while nothing opens", async (context) => {
  const server = prepare(context);
  server.client().start();
  await pass(context);
  const pauses: number[] = [];
  for (let i = 0; i < 4; i++) {
    server.newest.handlers.closed({ code: 1006, reason: "" });
    const state = server.states.at(-1);
    assert.ok(state?.is === "waiting");
    pauses.push(state.ms);
    await pass(context, state.ms);
  }
  assert.deepEqual(pauses, [500, 1_000, 2_000, 4_000]);
});

test("stopping gives the session up", async (context) => {
  const server = prepare(context);
  const client = server.client();
  client.start();
  await pass(context);
  server.newest.hello();
  server.newest.ready();
  client.stop();
  assert.equal(server.newest.closedWith?.code, 1000);
  assert.equal(client.sessionId, undefined);
  await pass(context, 1_000_000);
  assert.equal(server.opened.length, 1);
});
