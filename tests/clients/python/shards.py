"""A sharded bot of unmodified disnake that prints every event of every shard as it came, a JSON line each.

ROOKERY_SHARDS is `auto` for the library's own AutoShardedClient, or `apart` for two clients of one shard each, which know
nothing of each other.
"""

import asyncio
import json
import os
import sys

import disnake

disnake.http.Route.BASE = os.environ["ROOKERY_API"] + "/v10"
# disnake asks GET /gateway, and GET /gateway/bot when it shards by itself: the way to the gateway needs no override.

SHARD_COUNT = 2


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def tell(shard, text):
    payload = json.loads(text)
    if payload.get("t"):
        say(shard=shard, t=payload["t"], d=payload["d"])


def told(client):
    """The library's own view: which shard it asks for a guild."""
    return [[str(guild.id), guild.shard_id] for guild in client.guilds]


class OfOneShard(disnake.Client):
    async def on_socket_raw_receive(self, text):
        tell(self.shard_id, text)

    async def on_ready(self):
        say(ready=True, shard=self.shard_id, guilds=told(self))


class OfAll(disnake.AutoShardedClient):
    # The library does not say of which shard a payload is.
    async def on_socket_raw_receive(self, text):
        tell(None, text)

    async def on_ready(self):
        say(ready=True, shards=self.shard_count, guilds=told(self))


async def main():
    # `enable_debug_events` is the library's own way to show what it received.
    options = {
        "intents": disnake.Intents(value=int(os.environ["ROOKERY_INTENTS"])),
        "enable_debug_events": True,
        "chunk_guilds_at_startup": False,
    }
    if os.environ["ROOKERY_SHARDS"] == "auto":
        clients = [OfAll(**options)]
    else:
        clients = [OfOneShard(shard_id=shard, shard_count=SHARD_COUNT, **options) for shard in range(SHARD_COUNT)]
    await asyncio.gather(*(client.start(os.environ["ROOKERY_TOKEN"]) for client in clients))


try:
    asyncio.run(main())
except Exception as error:  # the test wants to read of any failure
    say(error=repr(error))
    raise
