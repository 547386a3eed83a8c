// A sharded bot of unmodified discord.js that prints every event of every shard as it came, a JSON line each.
const { Client, Events } = require("discord.js");

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const shards =
  process.env.ROOKERY_SHARDS === "auto"
    ? { shards: "auto" }
    : { shards: [0, 1], shardCount: 2 };
const client = new Client({
  ...shards,
  intents: Number(process.env.ROOKERY_INTENTS),
  rest: { api: process.env.ROOKERY_API },
});

client.on(Events.Raw, ({ t, d }, shard) => t && say({ shard, t, d }));
client.once(Events.ClientReady, () => {
  // What the library itself makes of it: which shard it asks for a guild.
  const guilds = client.guilds.cache.map((guild) => [guild.id, guild.shardId]);
  say({ ready: true, shards: client.ws.shards.size, guilds });
});
client.on(Events.Error, (error) => say({ note: String(error) }));
client.login(process.env.ROOKERY_TOKEN).catch((error) => {
  say({ error: String(error) });
  process.exit(1);
});
