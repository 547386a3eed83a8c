// A client of the voice gateway that runs in a page: it chooses `webrtc`, says a tone, shows a camera or a canvas, and
// tells what it hears and sees of whom.
//
// Like clients of the API it trims its offer, and makes a whole answer for its browser of the few lines that it gets:
// a section for each stream that SPEAKING and VIDEO told of, by SSRC. With `whole` its offer goes as the browser made it.

const Op = { IDENTIFY: 0, SELECT: 1, READY: 2, HEARTBEAT: 3, DESCRIPTION: 4, SPEAKING: 5, HELLO: 8, VIDEO: 12, LEFT: 13, WANTS: 15 };
const VP8 = "VP8";

/** Lines of one description that begin so, without what they begin with. */
const values = (sdp, begin) => sdp.split(/\r?\n/).filter((line) => line.startsWith(begin)).map((line) => line.slice(begin.length));

/** The sections of a description, and what stands before them. */
function sections(sdp) {
  const [session, ...rest] = sdp.split(/^(?=m=)/m);
  return { session, media: rest };
}

/** Payload types by codec, as the browser numbers them; of several forms the first one. */
function payloadTypes(section) {
  const types = new Map();
  for (const line of values(section, "a=rtpmap:")) {
    const [number, encoding] = line.split(" ");
    const name = encoding.split("/")[0];
    const fmtp = values(section, `a=fmtp:${number} `)[0] ?? "";
    if (name === "H264" && !fmtp.includes("packetization-mode=1")) continue;
    if (!types.has(name) && name !== "rtx") types.set(name, { number: Number(number), rtx: null, fmtp, encoding });
  }
  for (const type of types.values()) {
    const apt = values(section, "a=fmtp:").find((line) => line.endsWith(`apt=${type.number}`));
    if (apt) type.rtx = Number(apt.split(" ")[0]);
  }
  return types;
}

/** Extensions that are of use here: how loud, and when it came. The name of a section is left out, so that SSRCs count. */
const EXTENSIONS = ["urn:ietf:params:rtp-hdrext:ssrc-audio-level", "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"];
const SIMULCAST = ["urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"];
const extensions = (section, wanted) =>
  values(section, "a=extmap:").map((line) => line.split(" ")).filter(([, uri]) => wanted.includes(uri)).map(([id, uri]) => `${id.split("/")[0]} ${uri}`);

class Queue {
  #items = [];
  #waiting = [];
  push(item) {
    this.#items.push(item);
    for (const look of this.#waiting.splice(0)) look();
  }
  /** Drops all that fit. */
  drop(fits) {
    this.#items = this.#items.filter((item) => !fits(item));
  }
  /** The first item that fits; those before it stay. */
  async take(fits) {
    for (;;) {
      const at = this.#items.findIndex(fits);
      if (at >= 0) return this.#items.splice(at, 1)[0];
      await new Promise((done) => this.#waiting.push(done));
    }
  }
}

/** What is told of streams, in short: others and tests are told by it. */
function tellStream({ name, stream_key, reason, unavailable, viewer_ids }) {
  if (name === "STREAM_DELETE") globalThis.tell({ stream: stream_key, over: reason, unavailable });
  if (name === "STREAM_CREATE" || name === "STREAM_UPDATE") globalThis.tell({ stream: stream_key, viewers: viewer_ids });
}

/** From the main gateway: who we are, where voice is, and the way to ask for streams. */
async function findVoice({ gateway, token, guild, channel, video }) {
  const socket = new WebSocket(`${gateway}/?v=10&encoding=json`);
  const events = new Queue();
  let seq = null;
  const send = (op, d) => socket.send(JSON.stringify({ op, d }));
  socket.onmessage = ({ data }) => {
    const { op, d, s, t } = JSON.parse(data);
    seq = s ?? seq;
    if (op === 10) {
      setInterval(() => send(1, seq), d.heartbeat_interval);
      send(2, { token, intents: 1 | (1 << 7), properties: { os: "page", browser: "page", device: "page" } });
    }
    if (op !== 0) return;
    const event = { ...d, name: t };
    tellStream(event);
    if (t === "VOICE_STATE_UPDATE") globalThis.tell({ state_of: d.user_id, streams: d.self_stream });
    events.push(event);
  };
  socket.onclose = ({ code }) => globalThis.tell({ note: `the main gateway closed with ${code}` });
  const { user } = await events.take(({ name }) => name === "READY");
  await events.take(({ name, id }) => name === "GUILD_CREATE" && id === guild);
  send(4, { guild_id: guild, channel_id: channel, self_mute: false, self_deaf: false, self_video: video });
  const { session_id } = await events.take(({ name, user_id }) => name === "VOICE_STATE_UPDATE" && user_id === user.id);
  const { token: voiceToken, endpoint } = await events.take(({ name, endpoint }) => name === "VOICE_SERVER_UPDATE" && endpoint);
  return { userId: user.id, sessionId: session_id, voiceToken, endpoint, serverId: guild, main: { send, events } };
}

/** Tells the loudest pitch of a stream. */
class Ear {
  constructor(context, stream) {
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 32_768;
    this.analyser.smoothingTimeConstant = 0;
    context.createMediaStreamSource(stream).connect(this.analyser);
    // Without an element nothing is played, and the analyser hears nothing.
    this.element = document.createElement("audio");
    Object.assign(this.element, { srcObject: stream, autoplay: true, muted: true });
    document.body.append(this.element);
  }
  listen() {
    const bins = new Float32Array(this.analyser.frequencyBinCount);
    this.analyser.getFloatFrequencyData(bins);
    let best = 1;
    for (let bin = 2; bin < bins.length; bin++) if (bins[bin] > bins[best]) best = bin;
    return { hertz: Math.round((best * this.analyser.context.sampleRate) / this.analyser.fftSize), decibels: Math.round(bins[best]) };
  }
}

/** A picture that changes all the time. */
function drawing({ width, height, frameRate } = { width: 320, height: 240, frameRate: 15 }) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  document.body.append(canvas);
  const context = canvas.getContext("2d");
  let n = 0;
  setInterval(() => {
    n += 1;
    context.fillStyle = `hsl(${n * 7 % 360} 80% 50%)`;
    context.fillRect(0, 0, width, height);
    context.fillStyle = "black";
    context.fillText(`frame ${n}`, n % 200, n % 240);
  }, 1_000 / frameRate);
  return canvas.captureStream(frameRate).getVideoTracks()[0];
}

class Client {
  constructor(options) {
    this.options = options;
    this.context = new AudioContext();
    this.ears = new Map();
    /** Streams of others: by SSRC, whose and of which kind. */
    this.streams = new Map();
    /** By the name of our section, the SSRC that it is for. */
    this.places = new Map();
    this.wants = [];
    this.negotiated = Promise.resolve();
    this.state = "begins";
    /** Connections for streams, by whose they are. */
    this.streamed = new Map();
  }

  async start() {
    const found = this.options.found ?? (await findVoice(this.options));
    this.found = found;
    this.userId = found.userId;
    this.socket = new WebSocket(`wss://${found.endpoint}/?v=8`);
    const messages = new Queue();
    let seq = -1;
    this.socket.onmessage = async ({ data }) => {
      const message = JSON.parse(data);
      seq = message.seq ?? seq;
      if (message.op === Op.HELLO) {
        setInterval(() => this.send(Op.HEARTBEAT, { t: Date.now(), seq_ack: seq }), message.d.heartbeat_interval);
        const streams = [{ type: "video", rid: "100", quality: 100 }];
        const { sessionId: session_id, voiceToken: token } = found;
        this.send(Op.IDENTIFY, { server_id: found.serverId, channel_id: found.channelId, user_id: this.userId, session_id, token, video: true, streams, max_dave_protocol_version: 0 });
      } else if (message.op === Op.SPEAKING) {
        this.learn(message.d.ssrc, { user: message.d.user_id, kind: "audio" });
      } else if (message.op === Op.VIDEO) {
        const [stream] = message.d.streams;
        if (stream) this.learn(stream.ssrc, { user: message.d.user_id, kind: "video", rtx: stream.rtx_ssrc, type: stream.type });
        if (!this.options.found) globalThis.tell({ shows: message.d.user_id, video: message.d.video_ssrc > 0, type: stream?.type });
      } else if (message.op === Op.LEFT) {
        if (!this.options.found) globalThis.tell({ left: message.d.user_id });
      } else if (message.op === Op.WANTS) {
        this.wants.push(message.d);
        await this.obey(message.d);
      } else {
        messages.push(message);
      }
    };
    this.socket.onclose = ({ code }) => globalThis.tell({ closed: code, server: found.serverId });
    this.ready = (await messages.take(({ op }) => op === Op.READY)).d;
    this.messages = messages;
    await this.connect();
  }

  async connect() {
    const configuration = { bundlePolicy: "max-bundle" };
    if (this.options.relay) Object.assign(configuration, { iceTransportPolicy: "relay", iceServers: this.ready.ice_servers });
    const pc = (this.pc = new RTCPeerConnection(configuration));
    pc.ontrack = ({ track, transceiver }) => this.play(track, transceiver);
    pc.onconnectionstatechange = () => (this.state = pc.connectionState);
    await this.addOwn();
    await this.select(this.messages);
    const mine = this.ownSsrcs();
    this.send(Op.SPEAKING, { speaking: 1, delay: 0, ssrc: mine.audio });
    this.showOwn(mine);
  }

  /** As when its way of media broke: it selects its protocol anew on the connection to the voice gateway that it has. */
  async selectAgain() {
    this.isSelected = false;
    await this.negotiated;
    this.pc.close();
    this.places.clear();
    this.ears.clear();
    await this.connect();
  }

  send(op, d) {
    this.socket.send(JSON.stringify({ op, d }));
  }

  async addOwn() {
    const { tone, camera, screen, simulcast, whole } = this.options;
    const oscillator = this.context.createOscillator();
    const destination = this.context.createMediaStreamDestination();
    oscillator.frequency.value = tone;
    oscillator.connect(destination);
    oscillator.start();
    this.pc.addTransceiver(destination.stream.getAudioTracks()[0], { direction: whole ? "sendrecv" : "sendonly" });
    // Small and slow, because a machine of tests encodes and decodes several of them; only this size has layers.
    const size = simulcast ? { width: 640, height: 360, frameRate: 15 } : { width: 320, height: 180, frameRate: 15 };
    if (camera) this.video = (await navigator.mediaDevices.getUserMedia({ video: size })).getVideoTracks()[0];
    if (screen) this.video = drawing(this.options.size);
    // A screen is shown as large as it is.
    if (this.options.size) this.video.contentHint = "detail";
    if (!this.video) {
      if (whole) this.pc.addTransceiver("video", { direction: "recvonly" });
      return;
    }
    const sendEncodings = simulcast
      ? [{ rid: "25", scaleResolutionDownBy: 4, maxBitrate: 100_000 }, { rid: "50", scaleResolutionDownBy: 2, maxBitrate: 250_000 }, { rid: "100", maxBitrate: 700_000 }]
      : [{ maxBitrate: this.options.size ? 3_000_000 : 700_000 }];
    this.pc.addTransceiver(this.video, { direction: whole ? "sendrecv" : "sendonly", sendEncodings });
  }

  async select(messages) {
    // A section for a picture that may come, so that its codecs are told.
    if (!this.video && !this.options.whole) this.pc.addTransceiver("video", { direction: "recvonly" });
    const offer = await this.pc.createOffer();
    await this.pc.setLocalDescription(offer);
    const { media } = sections(offer.sdp);
    const audio = media.find((section) => section.startsWith("m=audio"));
    const video = media.find((section) => section.startsWith("m=video"));
    const opus = payloadTypes(audio).get("opus");
    const codec = this.options.codec ?? VP8;
    const picture = payloadTypes(video).get(codec);
    this.types = { opus, picture, codec };
    const wanted = [...EXTENSIONS, ...SIMULCAST];
    const extmaps = new Set([...extensions(audio, wanted), ...extensions(video, wanted)]);
    const lines = [
      ...[...extmaps].map((line) => `a=extmap:${line}`),
      ...["ice-ufrag", "ice-pwd", "fingerprint"].map((name) => `a=${name}:${values(audio, `a=${name}:`)[0]}`),
      `a=rtpmap:${opus.number} opus/48000/2`,
      `a=rtpmap:${picture.number} ${picture.encoding}`,
      ...(codec === "H264" ? [`a=fmtp:${picture.number} ${picture.fmtp}`] : []),
      `a=rtpmap:${picture.rtx} rtx/90000`,
    ];
    const sdp = this.options.whole ? offer.sdp : lines.join("\n");
    const codecs = [
      { name: "opus", type: "audio", priority: 1_000, payload_type: opus.number },
      { name: codec, type: "video", priority: 1_000, payload_type: picture.number, rtx_payload_type: picture.rtx },
    ];
    this.send(Op.SELECT, { protocol: "webrtc", data: sdp, sdp, codecs, rtc_connection_id: crypto.randomUUID() });
    const description = (await messages.take(({ op }) => op === Op.DESCRIPTION)).d;
    if (!description.media_session_id || description.audio_codec !== "opus" || description.video_codec !== codec) {
      throw new Error(JSON.stringify(description));
    }
    this.server = description.sdp;
    if (this.options.loss) {
      const port = Number(values(this.server, "a=candidate:")[0].split(" ")[5]);
      const proxied = await globalThis.proxy({ port, loss: this.options.loss });
      this.server = this.server.replaceAll(` ${port} typ host`, ` ${proxied} typ host`);
    }
    const answer = this.options.whole ? this.server : this.answer(offer.sdp);
    await this.pc.setRemoteDescription({ type: "answer", sdp: answer });
    this.isSelected = true;
    this.negotiate();
  }

  /** What a browser needs to know, of what the server said. */
  answer(offer) {
    const { media } = sections(offer);
    const told = (name) => values(this.server, `a=${name}:`)[0];
    const mids = media.map((section) => values(section, "a=mid:")[0]);
    const session = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite", `a=group:BUNDLE ${mids.join(" ")}`, "a=msid-semantic: WMS *"];
    const lines = media.flatMap((section, at) => this.section(section, mids[at], told));
    return [...session, ...lines, ""].join("\r\n");
  }

  section(section, mid, told) {
    const kind = section.slice(2, 7);
    const { opus, picture } = this.types;
    const stream = this.streams.get(this.places.get(mid));
    const isOwn = /a=sendonly/.test(section);
    const numbers = kind === "audio" ? [opus.number] : [picture.number, picture.rtx];
    const lines = [
      `m=${kind} 9 UDP/TLS/RTP/SAVPF ${numbers.join(" ")}`,
      "c=IN IP4 0.0.0.0",
      `a=ice-ufrag:${told("ice-ufrag")}`,
      `a=ice-pwd:${told("ice-pwd")}`,
      `a=fingerprint:${told("fingerprint")}`,
      "a=setup:passive",
      `a=mid:${mid}`,
      "a=rtcp-mux",
      "a=rtcp-rsize",
      `a=candidate:${told("candidate")}`,
      ...extensions(section, [...EXTENSIONS, ...(this.options.simulcast && isOwn ? [...SIMULCAST, "urn:ietf:params:rtp-hdrext:sdes:mid"] : [])]).map((line) => `a=extmap:${line}`),
    ];
    if (kind === "audio") {
      lines.push(`a=rtpmap:${opus.number} opus/48000/2`, `a=rtcp-fb:${opus.number} transport-cc`, `a=fmtp:${opus.number} minptime=10;useinbandfec=1`);
    } else {
      lines.push(`a=rtpmap:${picture.number} ${picture.encoding}`, `a=rtpmap:${picture.rtx} rtx/90000`, `a=fmtp:${picture.rtx} apt=${picture.number}`);
      if (picture.fmtp) lines.push(`a=fmtp:${picture.number} ${picture.fmtp}`);
      for (const what of ["transport-cc", "ccm fir", "nack", "nack pli"]) lines.push(`a=rtcp-fb:${picture.number} ${what}`);
    }
    if (isOwn) {
      const rids = values(section, "a=rid:").map((line) => line.split(" ")[0]);
      lines.push("a=recvonly", ...rids.map((rid) => `a=rid:${rid} recv`), ...(rids.length ? [`a=simulcast:recv ${rids.join(";")}`] : []));
    } else if (stream) {
      const ssrc = this.places.get(mid);
      lines.push("a=sendonly", `a=msid:${stream.user} ${stream.user}-${kind}`, `a=ssrc:${ssrc} cname:${stream.user}`);
      if (stream.rtx) lines.push(`a=ssrc:${stream.rtx} cname:${stream.user}`, `a=ssrc-group:FID ${ssrc} ${stream.rtx}`);
    } else {
      lines.push("a=inactive");
    }
    return lines;
  }

  /** A stream of somebody else: it gets a section of its own. */
  learn(ssrc, stream) {
    if (stream.user === this.userId || this.streams.has(ssrc)) return;
    this.streams.set(ssrc, stream);
    if (this.isSelected) this.negotiate();
  }

  negotiate() {
    if (this.options.whole) return;
    this.negotiated = this.negotiated.then(() => this.makeSections()).catch((error) => globalThis.tell({ error: String(error?.stack ?? error) }));
  }

  async makeSections() {
    const placed = new Set(this.places.values());
    const fresh = [...this.streams.keys()].filter((ssrc) => !placed.has(ssrc));
    if (fresh.length === 0) return;
    const made = fresh.map((ssrc) => [ssrc, this.pc.addTransceiver(this.streams.get(ssrc).kind, { direction: "recvonly" })]);
    const offer = await this.pc.createOffer();
    await this.pc.setLocalDescription(offer);
    for (const [ssrc, transceiver] of made) this.places.set(transceiver.mid, ssrc);
    await this.pc.setRemoteDescription({ type: "answer", sdp: this.answer(this.pc.localDescription.sdp) });
  }

  ownSsrcs() {
    const { media } = sections(this.pc.localDescription.sdp);
    const first = (kind) => media.find((section) => section.startsWith(`m=${kind}`) && /a=send(only|recv)/.test(section)) ?? "";
    const number = (text) => (text ? Number(text.split(" ")[0]) : 0);
    const video = first("video");
    const [, rtx] = (values(video, "a=ssrc-group:FID ")[0] ?? "0 0").split(" ");
    return { audio: number(values(first("audio"), "a=ssrc:")[0]), video: number(values(video, "a=ssrc:")[0]), rtx: Number(rtx) };
  }

  showOwn(mine) {
    if (!this.video) return;
    const { simulcast, screen } = this.options;
    const type = screen ? "screen" : "video";
    const layer = (rid, max_bitrate) => ({ type, rid, quality: Number(rid), active: true, max_bitrate });
    const { width, height } = this.options.size ?? { width: 640, height: 360 };
    const streams = simulcast
      ? [layer("25", 100_000), layer("50", 250_000), layer("100", 700_000)]
      : [{ ...layer("100", 700_000), ssrc: mine.video, rtx_ssrc: mine.rtx, max_framerate: 30, max_resolution: { type: "fixed", width, height } }];
    this.send(Op.VIDEO, { audio_ssrc: mine.audio, video_ssrc: simulcast ? 0 : mine.video, rtx_ssrc: simulcast ? 0 : mine.rtx, streams });
  }

  /** Sends a picture no larger than the server says that anybody sees it, unless it is told to be stubborn. */
  async obey({ pixelCounts }) {
    const pixels = Object.values(pixelCounts ?? {})[0];
    const sender = this.pc?.getSenders().find(({ track }) => track?.kind === "video");
    if (!pixels || !sender || this.options.stubborn) return;
    const { width, height } = this.options.size;
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings) encoding.scaleResolutionDownBy = Math.max(1, Math.sqrt((width * height) / pixels));
    await sender.setParameters(parameters);
  }

  key(user) {
    return `guild:${this.options.guild}:${this.options.channel}:${user}`;
  }

  /** A second connection, for somebody's stream: shown with a size, watched without. What it is answered. */
  async stream(user, size, stubborn) {
    const { send, events } = this.found.main;
    const stream_key = this.key(user);
    const of = (event) => event.stream_key === stream_key;
    // What is left of an earlier stream of this name.
    events.drop(of);
    if (size) send(18, { type: "guild", guild_id: this.options.guild, channel_id: this.options.channel, preferred_region: null });
    else send(20, { stream_key });
    const answer = await events.take((event) => of(event) && ["STREAM_CREATE", "STREAM_DELETE"].includes(event.name));
    if (answer.name === "STREAM_DELETE") return answer.reason;
    const { token: voiceToken, endpoint } = await events.take((event) => of(event) && event.name === "STREAM_SERVER_UPDATE" && event.endpoint);
    const { userId, sessionId } = this.found;
    const found = { userId, sessionId, voiceToken, endpoint, serverId: answer.rtc_server_id, channelId: answer.rtc_channel_id };
    const client = new Client({ tone: this.options.streamTone ?? 0, screen: size !== undefined, size, stubborn, found });
    this.streamed.get(user)?.close();
    this.streamed.set(user, client);
    await client.start();
    return "here";
  }

  stopStream(user) {
    this.found.main.send(19, { stream_key: this.key(user) });
    this.streamed.get(user)?.close();
    this.streamed.delete(user);
  }

  leaveVoice() {
    this.found.main.send(4, { guild_id: this.options.guild, channel_id: null, self_mute: false, self_deaf: false });
  }

  close() {
    this.socket.close();
    this.pc?.close();
  }

  want(wants) {
    this.send(Op.WANTS, wants);
  }

  hide() {
    this.send(Op.VIDEO, { audio_ssrc: this.ownSsrcs().audio, video_ssrc: 0, rtx_ssrc: 0, streams: [] });
  }

  play(track, transceiver) {
    const stream = new MediaStream([track]);
    if (track.kind === "audio") return this.ears.set(transceiver.mid, new Ear(this.context, stream));
    const element = document.createElement("video");
    Object.assign(element, { srcObject: stream, autoplay: true, muted: true });
    document.body.append(element);
  }

  user(mid) {
    return this.streams.get(this.places.get(mid))?.user ?? `section ${mid}`;
  }

  /** What is heard and seen at the moment. */
  async look() {
    const seen = { state: this.state, streamed: {}, heard: {}, frames: {}, wants: this.wants };
    for (const [mid, ear] of this.ears) seen.heard[this.user(mid)] = ear.listen();
    for (const report of (await this.pc?.getStats())?.values() ?? []) {
      if (report.type === "inbound-rtp" && report.kind === "video") {
        seen.frames[this.user(report.mid)] = report.framesDecoded;
        (seen.sizes ??= {})[this.user(report.mid)] = report.frameWidth;
        const { nackCount, pliCount, packetsLost, packetsReceived, retransmittedPacketsReceived, keyFramesDecoded } = report;
        (seen.details ??= []).push({ mid: report.mid, nackCount, pliCount, packetsLost, packetsReceived, retransmittedPacketsReceived, keyFramesDecoded });
      } else if (report.type === "outbound-rtp" && report.kind === "video") {
        const { rid, framesEncoded, targetBitrate, nackCount, pliCount, keyFramesEncoded, retransmittedPacketsSent } = report;
        (seen.sent ??= []).push({ rid, framesEncoded, targetBitrate, nackCount, pliCount, keyFramesEncoded, retransmittedPacketsSent });
      } else if (report.type === "remote-outbound-rtp") {
        // There is one for each stream whose sender told where it is on the clock.
        seen.clocks = (seen.clocks ?? 0) + 1;
      } else if (report.type === "candidate-pair" && report.nominated) {
        seen.roundTripMs = Math.round(report.currentRoundTripTime * 1_000);
        seen.estimateBps = report.availableOutgoingBitrate;
        seen.localCandidateId = report.localCandidateId;
      } else if (report.type === "transport") {
        seen.cipher = report.srtpCipher;
      } else if (report.type === "local-candidate") {
        (seen.candidates ??= {})[report.id] = report.candidateType;
      }
    }
    for (const [user, client] of this.streamed) seen.streamed[user] = await client.look();
    seen.candidate = seen.candidates?.[seen.localCandidateId];
    delete seen.candidates;
    return seen;
  }
}

globalThis.join = async (options) => {
  globalThis.client = new Client(options);
  await globalThis.client.start();
};
