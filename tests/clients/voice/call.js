// A person's client in the call of a DM, with unmodified @discordjs/voice behind a main gateway session of its own: the library
// knows guilds only, so it is given the DM as one. It says a tone, tells which ones it hears of whom, and does what it is told
// on standard input. It prints JSON lines.
const voice = require("@discordjs/voice");
const readline = require("node:readline");
const { follow, listen, say, sing } = require("./tones");

const { ROOKERY_GATEWAY, ROOKERY_TOKEN, ROOKERY_CHANNEL } = process.env;
const pitch = Number(process.env.ROOKERY_PITCH ?? 0);

const socket = new WebSocket(`${ROOKERY_GATEWAY}/?v=10&encoding=json`);
const send = (op, d) => socket.send(JSON.stringify({ op, d }));
let seq = null;
let self = null;
let methods = null;

// What the library has for the gateway, and what the gateway has for it.
const adapterCreator = (given) => {
  methods = given;
  return {
    sendPayload: ({ op, d }) => {
      send(op, { ...d, guild_id: null });
      return true;
    },
    destroy: () => (methods = null),
  };
};

const dispatched = {
  READY({ user }) {
    self = user.id;
    say({ ready: true, user: self });
    const options = { guildId: ROOKERY_CHANNEL, channelId: ROOKERY_CHANNEL, adapterCreator, selfDeaf: false };
    const connection = voice.joinVoiceChannel({ ...options, debug: Boolean(process.env.ROOKERY_DEBUG) });
    follow(connection);
    listen(connection);
    if (pitch > 0) sing(connection, pitch);
  },
  VOICE_STATE_UPDATE(state) {
    say({ voice: state.user_id, channel: state.channel_id });
    if (state.user_id === self) methods?.onVoiceStateUpdate({ ...state, guild_id: ROOKERY_CHANNEL });
  },
  VOICE_SERVER_UPDATE(server) {
    say({ server: server.channel_id, guild: server.guild_id });
    methods?.onVoiceServerUpdate({ ...server, guild_id: server.channel_id });
  },
};

socket.onmessage = ({ data }) => {
  const { op, d, s, t } = JSON.parse(data);
  seq = s ?? seq;
  if (op === 10) {
    setInterval(() => send(1, seq), d.heartbeat_interval);
    send(2, { token: ROOKERY_TOKEN, properties: { os: "linux", browser: "call", device: "call" } });
  }
  if (op === 0) dispatched[t]?.(d);
};
socket.onclose = ({ code }) => say({ note: `the main gateway closed with ${code}` });

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const told = JSON.parse(line);
  if (told.do === "leave") voice.getVoiceConnection(ROOKERY_CHANNEL)?.destroy();
  say({ done: told.do });
});
