// The bot of the acceptance tests with unmodified discord.js: does what people tell it, and prints what it saw as JSON lines.
const { Client, GatewayIntentBits, EmbedBuilder, Events } = require("discord.js");

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages, GatewayIntentBits.MessageContent],
  rest: { api: process.env.ROOKERY_API },
});

let reply = null;

async function history(channel) {
  const ids = [];
  let before;
  for (;;) {
    const page = await channel.messages.fetch({ limit: 5, before, cache: false });
    if (page.size === 0) return ids;
    for (const message of page.values()) ids.push(message.id);
    before = page.lastKey();
  }
}

async function obey(message) {
  switch (message.content) {
    case "ping": {
      const embed = new EmbedBuilder().setTitle("pong").setDescription(`to ${message.author.username}`).setColor(0x5865f2);
      reply = await message.reply({ embeds: [embed] });
      await message.react("✅");
      return say({ done: "ping", id: reply.id });
    }
    case "edit":
      await reply.edit({ content: "edited" });
      return say({ done: "edit", id: reply.id });
    case "delete":
      await reply.delete();
      return say({ done: "delete", id: reply.id });
    case "history":
      return say({ done: "history", ids: await history(message.channel) });
  }
}

client.once(Events.ClientReady, () => say({ ready: true, user: client.user.id, guilds: client.guilds.cache.size }));
client.on(Events.ShardResume, () => say({ resumed: true }));
client.on(Events.MessageCreate, (message) => {
  if (message.author.id === client.user.id) return;
  say({ message: message.id, content: message.content });
  obey(message).catch((error) => say({ error: String(error) }));
});
client.on(Events.Error, (error) => say({ note: String(error) }));
client.login(process.env.ROOKERY_TOKEN).catch((error) => {
  say({ error: String(error) });
  process.exit(1);
});
