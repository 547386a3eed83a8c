"""The bot of the acceptance tests with unmodified discord.py: does what people tell it, prints what it saw as JSON lines."""

import json
import os
import sys

import aiohttp
import discord
import yarl

discord.http.Route.BASE = os.environ["ROOKERY_API"] + "/v10"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["ROOKERY_GATEWAY"])


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Bot(discord.Client):
    reply = None
    # 429s that the library's own requests met.
    limited = 0

    async def count_limited(self, session, context, params):
        if params.response.status == 429:
            self.limited += 1

    async def use_up_bucket(self, channel):
        """Sends with another client of the same bot until that is limited: the library cannot foresee it."""
        headers = {"Authorization": "Bot " + os.environ["ROOKERY_TOKEN"]}
        url = f"{discord.http.Route.BASE}/channels/{channel.id}/messages"
        async with aiohttp.ClientSession(headers=headers) as other:
            while True:
                async with other.post(url, json={"content": "by another client"}) as response:
                    if response.status == 429:
                        return
                    response.raise_for_status()

    async def on_ready(self):
        say(ready=True, user=str(self.user.id), guilds=len(self.guilds))

    async def on_resumed(self):
        say(resumed=True)

    async def on_message(self, message):
        if message.author.id == self.user.id:
            return
        say(message=str(message.id), content=message.content)
        try:
            await self.obey(message)
        except Exception as error:  # the test wants to read of any failure
            say(error=repr(error))

    async def obey(self, message):
        if message.content == "ping":
            embed = discord.Embed(title="pong", description=f"to {message.author.name}", colour=0x5865F2)
            self.reply = await message.reply(embed=embed)
            await message.add_reaction("✅")
            say(done="ping", id=str(self.reply.id))
        elif message.content == "edit":
            await self.reply.edit(content="edited")
            say(done="edit", id=str(self.reply.id))
        elif message.content == "delete":
            await self.reply.delete()
            say(done="delete", id=str(self.reply.id))
        elif message.content == "history":
            ids = []
            before = None
            while True:
                page = [m async for m in message.channel.history(limit=5, before=before)]
                if not page:
                    break
                ids.extend(str(m.id) for m in page)
                before = page[-1]
            say(done="history", ids=ids)
        elif message.content.startswith("status"):
            # None if nothing follows.
            status = message.content.removeprefix("status").strip() or None
            await message.guild.voice_channels[0].edit(status=status, reason="so I was told")
            say(done="status")
        elif message.content == "limit":
            # Once, unless the bucket filled again before the library came to send.
            while not self.limited:
                await self.use_up_bucket(message.channel)
                sent = await message.channel.send("after the limit")
            say(done="limit", id=str(sent.id), limited=self.limited)


intents = discord.Intents(guilds=True, guild_messages=True, message_content=True)
trace = aiohttp.TraceConfig()
bot = Bot(intents=intents, http_trace=trace)
trace.on_request_end.append(bot.count_limited)
bot.run(os.environ["ROOKERY_TOKEN"], log_level=30)
