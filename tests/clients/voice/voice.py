"""A bot with unmodified discord.py that says a tone in a voice channel. It prints JSON lines.

By itself discord.py cannot hear: with ROOKERY_HEARS it does by discord-ext-voice-recv, and tells which tones of whom.
"""

import asyncio
import json
import math
import os
import struct
import sys

import discord
import yarl
from discord.ext import voice_recv

discord.http.Route.BASE = os.environ["ROOKERY_API"] + "/v10"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["ROOKERY_GATEWAY"])

RATE = 48_000
FRAME = 960


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Tone(discord.AudioSource):
    """Samples without end, 16 bit stereo, 20 ms at a time."""

    def __init__(self, hertz):
        self.hertz = hertz
        self.at = 0

    def read(self):
        frame = bytearray()
        for sample in range(self.at, self.at + FRAME):
            value = round(12_000 * math.sin(2 * math.pi * self.hertz * sample / RATE))
            frame += struct.pack("<hh", value, value)
        self.at += FRAME
        return bytes(frame)


class Ears(voice_recv.AudioSink):
    """The pitch of what was decoded: upward crossings of zero in a second of it."""

    def __init__(self):
        super().__init__()
        self.of = {}

    def wants_opus(self):
        return False

    def write(self, user, data):
        # Packets may come before the library knows whose they are.
        if user is None:
            return
        ear = self.of.setdefault(user.id, {"samples": 0, "crossings": 0, "last": 0, "power": 0})
        for (value, _) in struct.iter_unpack("<hh", data.pcm):
            ear["crossings"] += ear["last"] < 0 <= value
            ear["last"] = value
            ear["power"] += value * value
            ear["samples"] += 1
        if ear["samples"] >= RATE:
            hertz = ear["crossings"] * RATE / ear["samples"]
            say(heard=str(user.id), hertz=round(hertz), loudness=round(math.sqrt(ear["power"] / ear["samples"])))
            del self.of[user.id]

    def cleanup(self):
        self.of.clear()


class Bot(discord.Client):
    async def on_ready(self):
        say(ready=True, user=str(self.user.id))
        channel = self.get_channel(int(os.environ["ROOKERY_CHANNEL"]))
        hears = "ROOKERY_HEARS" in os.environ
        kind = voice_recv.VoiceRecvClient if hears else discord.VoiceClient
        voice = await channel.connect(timeout=30, reconnect=True, cls=kind)
        if hears:
            voice.listen(Ears())
        say(state="ready", mode=voice.mode)
        voice.play(Tone(int(os.environ["ROOKERY_PITCH"])))

    async def on_error(self, event, *arguments, **named):
        say(error=f"{event}: {sys.exc_info()[1]!r}")


intents = discord.Intents(guilds=True, voice_states=True)
asyncio.run(Bot(intents=intents).start(os.environ["ROOKERY_TOKEN"]))
