// Pages in Chromium that are in voice channels, told what to do by JSON lines, telling what they hear and see in JSON lines.
const { readFileSync, mkdtempSync, rmSync } = require("node:fs");
const { createServer } = require("node:http");
const { createSocket } = require("node:dgram");
const { createInterface } = require("node:readline");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { chromium } = require("playwright-core");

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
/** Between two looks at what pages hear and see. */
const INTERVAL_MS = 500;

const FLAGS = [
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  "--allow-loopback-in-peer-connection",
  // Several pages, none of which is looked at.
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
];

/** A way to a port on which every so manieth packet of media is lost, each way. */
async function lossy({ port, loss }) {
  const front = createSocket("udp4");
  const backs = new Map();
  const every = Math.round(1 / loss);
  const isMedia = (datagram) => datagram[0] >= 128 && datagram[0] <= 191;
  const way = () => {
    let count = 0;
    return (datagram) => isMedia(datagram) && (count += 1) % every === 0;
  };
  const isLostUp = way();
  front.on("message", (datagram, client) => {
    let back = backs.get(client.port);
    if (!back) {
      const isLostDown = way();
      backs.set(client.port, (back = createSocket("udp4")));
      back.on("message", (answer) => {
        if (!isLostDown(answer)) front.send(answer, client.port, client.address);
      });
    }
    if (!isLostUp(datagram)) back.send(datagram, port, "127.0.0.1");
  });
  await new Promise((done) => front.bind(0, "127.0.0.1", done));
  return front.address().port;
}

async function main() {
  const script = readFileSync(join(__dirname, "page.js"));
  const site = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : "<!doctype html><title>voice</title><body><script src=page.js></script>");
  });
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${site.address().port}`;
  const profile = mkdtempSync(join(tmpdir(), "rookery-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.ROOKERY_CHROMIUM,
    headless: true,
    // The voice gateway's certificate is of the deployment's own CA.
    ignoreHTTPSErrors: true,
    permissions: ["camera", "microphone"],
    args: process.getuid?.() === 0 ? ["--no-sandbox", ...FLAGS] : FLAGS,
  });
  const pages = new Map();

  async function watch(name, page) {
    while (pages.get(name) === page) {
      const seen = await page.evaluate(() => globalThis.client?.look()).catch(() => null);
      if (seen) say({ page: name, ...seen });
      await page.waitForTimeout(INTERVAL_MS).catch(() => {});
    }
  }

  const tasks = {
    async join({ page: name, ...options }) {
      const page = await context.newPage();
      page.on("pageerror", (error) => say({ error: `${name}: ${error}` }));
      if (process.env.ROOKERY_DEBUG) page.on("console", (message) => say({ note: message.text() }));
      await page.exposeFunction("tell", (line) => say({ page: name, ...line }));
      await page.exposeFunction("proxy", lossy);
      await page.goto(origin);
      pages.set(name, page);
      await page.evaluate((options) => globalThis.join(options), options);
      watch(name, page);
      return { user: await page.evaluate(() => globalThis.client.userId) };
    },
    async want({ page: name, wants }) {
      await pages.get(name).evaluate((wants) => globalThis.client.want(wants), wants);
      return {};
    },
    async again({ page: name }) {
      await pages.get(name).evaluate(() => globalThis.client.selectAgain());
      return {};
    },
    async hide({ page: name }) {
      await pages.get(name).evaluate(() => globalThis.client.hide());
      return {};
    },
    async stream({ page: name, size, stubborn }) {
      const answer = await pages.get(name).evaluate(([size, stubborn]) => globalThis.client.stream(globalThis.client.userId, size, stubborn), [size, stubborn]);
      return { answer };
    },
    async watch({ page: name, user }) {
      return { answer: await pages.get(name).evaluate((user) => globalThis.client.stream(user), user) };
    },
    async unstream({ page: name, user }) {
      await pages.get(name).evaluate((user) => globalThis.client.stopStream(user ?? globalThis.client.userId), user);
      return {};
    },
    async disconnect({ page: name }) {
      await pages.get(name).evaluate(() => globalThis.client.leaveVoice());
      return {};
    },
    async leave({ page: name }) {
      const page = pages.get(name);
      pages.delete(name);
      await page.close();
      return {};
    },
  };
  say({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: task, ...rest } = JSON.parse(line);
    tasks[task](rest).then(
      (answer) => say({ done: task, page: rest.page, ...answer }),
      (error) => say({ error: `${task}: ${error?.stack ?? error}` }),
    );
  }
  await context.close();
  rmSync(profile, { recursive: true, force: true });
  process.exit(0);
}

main().catch((error) => {
  say({ error: String(error?.stack ?? error) });
  process.exit(1);
});
