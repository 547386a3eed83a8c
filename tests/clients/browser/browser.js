// A page in Chromium that runs web/transport's bundle, told what to do by JSON lines, telling what it saw in JSON lines.
//
// Between the page and the gateway's UDP port stands a relay: it moves to another address, as a phone does, or swallows
// everything, as a firewall does.
const { readFileSync, mkdtempSync, rmSync } = require("node:fs");
const { createServer } = require("node:http");
const { createSocket } = require("node:dgram");
const { createInterface } = require("node:readline");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { chromium } = require("playwright-core");

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

/** Where the server is at the moment. */
let server = null;
const relay = { front: createSocket("udp4"), ways: new Map(), isBlocked: false, host: 2 };

/** A client's way to the server: a socket of its own, from an address that no other way had. */
function openWay(client) {
  const back = createSocket("udp4");
  back.bind(0, `127.0.0.${relay.host++}`);
  back.on("message", (packet) => {
    if (!relay.isBlocked) relay.front.send(packet, client.port, client.address);
  });
  return back;
}

/** From now on the server sees every client at another address. */
function moveRelay() {
  for (const way of relay.ways.values()) way.close();
  relay.ways.clear();
}

relay.front.on("message", (packet, client) => {
  if (relay.isBlocked) return;
  let way = relay.ways.get(client.port);
  if (!way) relay.ways.set(client.port, (way = openWay(client)));
  way.send(packet, Number(new URL(server.webtransport).port), "127.0.0.1");
});

/** What a page asks before each connection; the way to WebTransport leads through the relay. */
async function discover() {
  const answer = await fetch(`${server.api}/v10/gateway/url`, { method: "POST" });
  const endpoints = await answer.json();
  if (endpoints.webtransport_url !== server.webtransport) throw new Error(JSON.stringify(endpoints));
  endpoints.webtransport_url = `https://127.0.0.1:${relay.front.address().port}`;
  return endpoints;
}

/** Runs in a page, once: a browser's first QUIC connection takes a second on a busy machine, and nothing is to hang on it. */
async function warmUp() {
  const { webtransport_url, webtransport_cert_sha256 } = await globalThis.discover();
  const session = new WebTransport(`${webtransport_url}/gateway`, {
    serverCertificateHashes: webtransport_cert_sha256.map((hex) => ({
      algorithm: "sha-256",
      value: Uint8Array.from(hex.match(/../g), (digits) => Number.parseInt(digits, 16)),
    })),
  });
  await session.ready;
  session.close();
}

/** Runs in the page. */
async function startClient({ token, intents, encoding, bundle }) {
  const { GatewayClient } = await import(bundle);
  const seen = { events: [], datagrams: [], states: [], connectedMs: [] };
  let startedAt = performance.now();
  const client = new GatewayClient({
    token,
    intents,
    encoding,
    discover: () => globalThis.discover(),
    on: {
      dispatch: (name, data, { seq, transport }) => {
        if (seq === null) seen.datagrams.push({ name, user: String(data.user_id), transport });
        else seen.events.push({ name, seq, content: data?.content });
      },
      state: (state) => {
        if (state.is === "connecting") startedAt = performance.now();
        if (state.is === "ready") seen.connectedMs.push(Math.round(performance.now() - startedAt));
        seen.states.push(state);
      },
    },
  });
  globalThis.rookery = { client, seen };
  client.start();
}

/** Runs in the page: what was seen so far. */
function look() {
  const { client, seen } = globalThis.rookery;
  return { ...seen, sessionId: client.sessionId };
}

function isThere(seen, { messages = 0, datagrams = 0, ready = 0, refused = 0 }) {
  const said = seen.events.filter(({ name }) => name === "MESSAGE_CREATE").length;
  const became = (state) => seen.states.filter(({ is }) => is === state).length;
  return said >= messages && seen.datagrams.length >= datagrams && became("ready") >= ready && became("refused") >= refused;
}

async function main() {
  const bundle = readFileSync(process.env.ROOKERY_WEB_TRANSPORT);
  const site = createServer((request, response) => {
    const isScript = request.url === "/transport.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? bundle : "<!doctype html><title>transport</title>");
  });
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  await new Promise((done) => relay.front.bind(0, "127.0.0.1", done));
  const profile = mkdtempSync(join(tmpdir(), "rookery-chromium-"));
  const quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.ROOKERY_CHROMIUM,
    headless: true,
    args: process.getuid?.() === 0 ? ["--no-sandbox", ...quiet] : quiet,
  });
  await context.exposeFunction("discover", discover);
  const origin = `http://127.0.0.1:${site.address().port}`;
  let page = null;
  let isWarm = false;

  const tasks = {
    async server({ api, webtransport }) {
      server = { api, webtransport };
      moveRelay();
      return {};
    },
    async open({ token, intents, encoding }) {
      await page?.close();
      page = await context.newPage();
      page.on("pageerror", (error) => say({ error: `the page: ${error}` }));
      await page.goto(origin);
      if (!isWarm && !relay.isBlocked) await page.evaluate(warmUp);
      isWarm = true;
      await page.evaluate(startClient, { token, intents, encoding, bundle: `${origin}/transport.js` });
      return { version: context.browser()?.version() ?? "" };
    },
    async wait(wanted) {
      for (;;) {
        const seen = await page.evaluate(look);
        if (isThere(seen, wanted)) return seen;
        await page.waitForTimeout(20);
      }
    },
    async move() {
      moveRelay();
      // As when a phone takes another network.
      await page.evaluate(() => dispatchEvent(new Event("online")));
      return {};
    },
    async block({ blocked }) {
      relay.isBlocked = blocked;
      return {};
    },
    async drop() {
      await page.evaluate(() => globalThis.rookery.client.reconnect());
      return {};
    },
  };
  say({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: task, ...rest } = JSON.parse(line);
    say({ done: task, ...(await tasks[task](rest)) });
  }
  await context.close();
  rmSync(profile, { recursive: true, force: true });
  process.exit(0);
}

main().catch((error) => {
  say({ error: String(error?.stack ?? error) });
  process.exit(1);
});
