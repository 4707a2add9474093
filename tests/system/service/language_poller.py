"""Reads two PVs as fast as it can, one after the other, until both are 0; then a third.

Prints `polling` after its first read, and at the end how often it read, and the third's value.
"""

import asyncio
import json
import sys

import aioca


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def main(first: str, second: str, third: str) -> None:
    await aioca.connect([first, second, third], timeout=10)
    polls = 0
    while True:
        waiting = int(await aioca.caget(first))
        running = int(await aioca.caget(second))
        polls += 1
        if polls == 1:
            say("polling")
        if not waiting and not running:
            break
    say(json.dumps([polls, int(await aioca.caget(third))]))
    aioca.purge_channel_caches()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
