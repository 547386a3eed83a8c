"""A bot with unmodified discord.py that says a tone in a voice channel; it cannot hear. It prints JSON lines."""

import asyncio
import json
import math
import os
import struct
import sys

import discord
import yarl

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


class Bot(discord.Client):
    async def on_ready(self):
        say(ready=True, user=str(self.user.id))
        channel = self.get_channel(int(os.environ["ROOKERY_CHANNEL"]))
        voice = await channel.connect(timeout=30, reconnect=True)
        say(state="ready", mode=voice.mode)
        voice.play(Tone(int(os.environ["ROOKERY_PITCH"])))

    async def on_error(self, event, *arguments, **named):
        say(error=f"{event}: {sys.exc_info()[1]!r}")


intents = discord.Intents(guilds=True, voice_states=True)
asyncio.run(Bot(intents=intents).start(os.environ["ROOKERY_TOKEN"]))
