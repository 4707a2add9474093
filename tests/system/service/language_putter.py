"""Puts to a PV with callback, one after the other, and prints how many s that took."""

import asyncio
import sys
import time

import aioca


async def main(pv: str, times: str) -> None:
    await aioca.connect(pv, timeout=10)
    began = time.perf_counter()
    for number in range(int(times)):
        await aioca.caput(pv, number % 10, wait=True, timeout=10)
    sys.stdout.write(f"{time.perf_counter() - began:.6f}\n")
    aioca.purge_channel_caches()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
