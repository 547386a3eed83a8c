// Tones: how a bot or a person's client says one, and which ones it hears of whom.
const voice = require("@discordjs/voice");
const OpusScript = require("opusscript");
const { Readable } = require("node:stream");

const RATE = 48_000;
const CHANNELS = 2;
const FRAME = 960;

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

// Samples of a tone without end, 16 bit stereo.
function tone(hertz) {
  let at = 0;
  return new Readable({
    highWaterMark: FRAME * CHANNELS * 2 * 5,
    read() {
      const frame = Buffer.alloc(FRAME * CHANNELS * 2);
      for (let sample = 0; sample < FRAME; sample++, at++) {
        const value = Math.round(12_000 * Math.sin((2 * Math.PI * hertz * at) / RATE));
        for (let channel = 0; channel < CHANNELS; channel++) frame.writeInt16LE(value, (sample * CHANNELS + channel) * 2);
      }
      this.push(frame);
    },
  });
}

const PAUSE_MS = 500;
// When each was last heard, over all connections.
const lastHeard = new Map();

// The pitch of what was decoded: upward crossings of zero in a second of it.
class Ear {
  constructor(user, done) {
    this.decoder = new OpusScript(RATE, CHANNELS, OpusScript.Application.AUDIO);
    this.user = user;
    this.done = done;
    this.reset();
  }
  reset() {
    this.samples = 0;
    this.crossings = 0;
    this.last = 0;
    this.power = 0;
  }
  hear(packet) {
    const now = Date.now();
    const pause = now - (lastHeard.get(this.user) ?? now);
    lastHeard.set(this.user, now);
    // A pause does not count as sound.
    if (pause > PAUSE_MS) {
      this.reset();
      say({ again: this.user, pause_ms: pause });
    }
    const pcm = this.decoder.decode(packet);
    for (let offset = 0; offset + 3 < pcm.length; offset += 4) {
      const value = pcm.readInt16LE(offset);
      if (this.last < 0 && value >= 0) this.crossings++;
      this.last = value;
      this.power += value * value;
      this.samples++;
    }
    if (this.samples >= RATE) {
      const loudness = Math.sqrt(this.power / this.samples);
      this.done({ heard: this.user, hertz: Math.round((this.crossings * RATE) / this.samples), loudness: Math.round(loudness) });
      this.reset();
    }
  }
}

const ears = new Map();

// Tells what is heard over a connection.
function listen(connection) {
  connection.receiver.speaking.on("end", (user) => say({ silent: user }));
  connection.receiver.speaking.on("start", (user) => {
    if (ears.has(user)) return;
    const stream = connection.receiver.subscribe(user, { end: { behavior: voice.EndBehaviorType.Manual } });
    const ear = new Ear(user, say);
    ears.set(user, stream);
    stream.on("data", (packet) => {
      try {
        ear.hear(packet);
      } catch (error) {
        say({ undecodable: user, error: String(error) });
      }
    });
    stream.on("close", () => ears.delete(user));
  });
}

// Says a tone over a connection.
function sing(connection, hertz) {
  const player = voice.createAudioPlayer({ behaviors: { noSubscriber: voice.NoSubscriberBehavior.Play } });
  player.play(voice.createAudioResource(tone(hertz), { inputType: voice.StreamType.Raw }));
  player.on("error", (error) => say({ error: String(error) }));
  connection.subscribe(player);
}

// Tells what becomes of a connection.
function follow(connection) {
  connection.on("stateChange", (before, after) => {
    say({ state: after.status, code: after.closeCode });
    if (after.networking && after.networking !== before.networking) {
      after.networking.on("close", (code) => say({ closed: code }));
    }
  });
  // A node that died refuses what the library tries before it is told of another.
  connection.on("error", (error) => say({ note: String(error) }));
  if (process.env.ROOKERY_DEBUG) connection.on("debug", (text) => say({ debug: text }));
}

module.exports = { follow, listen, say, sing };
