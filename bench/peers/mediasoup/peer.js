// Forwards the packets of one speaker to many receivers with mediasoup: a PlainTransport with SRTP for each. What it is told
// and says is described in bench/src/voice/peers.rs.
const crypto = require("node:crypto");
const readline = require("node:readline");
const mediasoup = require("mediasoup");

// The only kind that PlainTransports of this version have: AES-128 in counter mode and 80 bits of HMAC-SHA1.
const MODE = "AES_CM_128_HMAC_SHA1_80";
const SECRET_BYTES = 30;
const IP = "127.0.0.1";

async function start({ receivers, ssrc, payload_type: payloadType }) {
  const worker = await mediasoup.createWorker({ logLevel: "error", rtcMinPort: 10_000, rtcMaxPort: 32_000 });
  worker.on("died", () => process.exit(1));
  const codec = { kind: "audio", mimeType: "audio/opus", clockRate: 48_000, channels: 2 };
  const router = await worker.createRouter({ mediaCodecs: [{ ...codec, preferredPayloadType: payloadType }] });
  const inbound = await router.createPlainTransport({ listenIp: IP, rtcpMux: true, comedia: true });
  const producer = await inbound.produce({
    kind: "audio",
    rtpParameters: {
      codecs: [{ mimeType: codec.mimeType, clockRate: codec.clockRate, channels: codec.channels, payloadType }],
      encodings: [{ ssrc }],
    },
  });
  for (const port of receivers) {
    const options = { listenIp: IP, rtcpMux: true, comedia: false, enableSrtp: true, srtpCryptoSuite: MODE };
    const outbound = await router.createPlainTransport(options);
    const keyBase64 = crypto.randomBytes(SECRET_BYTES).toString("base64");
    await outbound.connect({ ip: IP, port, srtpParameters: { cryptoSuite: MODE, keyBase64 } });
    await outbound.consume({ producerId: producer.id, rtpCapabilities: router.rtpCapabilities });
  }
  const port = inbound.tuple.localPort;
  process.stdout.write(JSON.stringify({ port, pid: worker.pid, version: mediasoup.version }) + "\n");
}

const lines = readline.createInterface({ input: process.stdin });
lines.once("line", (line) => {
  start(JSON.parse(line)).catch((error) => {
    console.error(error);
    process.exit(1);
  });
});
lines.once("close", () => process.exit(0));
