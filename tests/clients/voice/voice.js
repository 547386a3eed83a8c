// A bot with unmodified @discordjs/voice: it says a tone in a voice channel, tells which tones it hears of whom, and does
// what it is told on standard input. It prints JSON lines.
const { Client, GatewayIntentBits, Events } = require("discord.js");
const voice = require("@discordjs/voice");
const OpusScript = require("opusscript");
const { Readable } = require("node:stream");
const readline = require("node:readline");

const RATE = 48_000;
const CHANNELS = 2;
const FRAME = 960;
const { ROOKERY_API, ROOKERY_TOKEN, ROOKERY_GUILD, ROOKERY_CHANNEL } = process.env;
const pitch = Number(process.env.ROOKERY_PITCH ?? 0);

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

const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildVoiceStates],
  rest: { api: ROOKERY_API },
});
const ears = new Map();
let player = null;

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

function join(channelId) {
  const guild = client.guilds.cache.get(ROOKERY_GUILD);
  const connection = voice.joinVoiceChannel({
    guildId: ROOKERY_GUILD,
    channelId,
    adapterCreator: guild.voiceAdapterCreator,
    selfDeaf: false,
    debug: Boolean(process.env.ROOKERY_DEBUG),
  });
  if (connection.listenerCount("stateChange") > 0) return;
  connection.on("stateChange", (before, after) => {
    say({ state: after.status, code: after.closeCode });
    if (after.networking && after.networking !== before.networking) {
      after.networking.on("close", (code) => say({ closed: code }));
    }
  });
  // A node that died refuses what the library tries before it is told of another.
  connection.on("error", (error) => say({ note: String(error) }));
  if (process.env.ROOKERY_DEBUG) connection.on("debug", (text) => say({ debug: text }));
  listen(connection);
  if (pitch > 0) {
    player = voice.createAudioPlayer({ behaviors: { noSubscriber: voice.NoSubscriberBehavior.Play } });
    player.play(voice.createAudioResource(tone(pitch), { inputType: voice.StreamType.Raw }));
    player.on("error", (error) => say({ error: String(error) }));
    connection.subscribe(player);
  }
}

client.once(Events.ClientReady, () => {
  say({ ready: true, user: client.user.id });
  join(ROOKERY_CHANNEL);
});
client.on(Events.VoiceStateUpdate, (before, after) => {
  const asks = after.requestToSpeakTimestamp !== null;
  say({ voice: after.id, channel: after.channelId, suppress: after.suppress, asks });
});
client.on(Events.ChannelUpdate, (before, after) => say({ channel_updated: after.id, limit: after.userLimit }));
client.on(Events.StageInstanceCreate, (stage) => say({ stage: "live", topic: stage.topic, channel: stage.channelId }));
client.on(Events.StageInstanceUpdate, (before, after) => say({ stage: "changed", topic: after.topic }));
client.on(Events.StageInstanceDelete, (stage) => say({ stage: "over", topic: stage.topic }));
client.on(Events.Error, (error) => say({ note: String(error) }));
client.login(ROOKERY_TOKEN).catch((error) => {
  say({ error: String(error) });
  process.exit(1);
});

async function carryOut(told) {
  const guild = client.guilds.cache.get(ROOKERY_GUILD);
  switch (told.do) {
    case "join":
      return join(told.channel);
    case "leave":
      return voice.getVoiceConnection(ROOKERY_GUILD)?.destroy();
    case "ask to speak":
      return guild.members.me.voice.setRequestToSpeak(told.to);
    case "suppress":
      return guild.voiceStates.cache.get(told.user).setSuppressed(told.to);
    case "begin":
      return guild.channels.cache.get(told.channel).createStageInstance({ topic: told.topic, sendStartNotification: true });
    case "rename":
      return guild.channels.cache.get(told.channel).stageInstance.edit({ topic: told.topic });
    case "end":
      return guild.channels.cache.get(told.channel).stageInstance.delete();
    case "nothing":
      return;
  }
  throw new Error(`nobody knows how to ${told.do}`);
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const told = JSON.parse(line);
  carryOut(told).then(
    () => say({ done: told.do }),
    (error) => say({ refused: told.do, code: error.code ?? null, why: String(error) }),
  );
});
