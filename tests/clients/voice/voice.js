// A bot with unmodified @discordjs/voice: it says a tone in a voice channel, tells which tones it hears of whom, and does
// what it is told on standard input. It prints JSON lines.
const { Client, GatewayIntentBits, Events } = require("discord.js");
const voice = require("@discordjs/voice");
const readline = require("node:readline");
const { follow, listen, say, sing } = require("./tones");

const { ROOKERY_API, ROOKERY_TOKEN, ROOKERY_GUILD, ROOKERY_CHANNEL } = process.env;
const pitch = Number(process.env.ROOKERY_PITCH ?? 0);

const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildVoiceStates],
  rest: { api: ROOKERY_API },
});

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
  follow(connection);
  listen(connection);
  if (pitch > 0) sing(connection, pitch);
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
