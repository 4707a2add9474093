"""Start a service inside a program of your own, follow it, end it: docs/how-to/embed.md.

orchestrator sim motor detector shutter temperature
python embed.py
"""

import asyncio
from dataclasses import replace
from pathlib import Path

from orchestrator import EVENTS, ServerConfig, load_config, open_service

HERE = Path(__file__).parent


async def main() -> None:
    """Run `scan` and tell what happens."""
    config = load_config(HERE / "orchestrator.toml")
    loopback = ServerConfig(port=0, interfaces=("127.0.0.1",))
    async with open_service(replace(config, server=loopback)) as service:
        print(f"serving {config.prefix} at port {service.port}")
        service.listen(lambda event: print(type(event).__name__), EVENTS)
        outcome = await service.run("scan", owner="me@here")
        print(outcome.status, outcome.data_file)
        print("state:", service.api.snapshot()["state"].value)


asyncio.run(main())
