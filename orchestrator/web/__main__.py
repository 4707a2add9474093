"""`python -m orchestrator.web LINK LISTENING…`: descriptors of sockets, given by the service."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

from orchestrator.config import Config
from orchestrator.replay import decode
from orchestrator.web.app import make_app
from orchestrator.web.connections import serve
from orchestrator.web.log_line import LogLines
from orchestrator.web.service_link import ServiceLink


def main(descriptors: list[int]) -> None:
    """Serve until the service closes its end of the link."""
    link, *listening = (socket.socket(fileno=number) for number in descriptors)
    asyncio.run(_serve(link, listening))


async def _serve(end: socket.socket, listening: list[socket.socket]) -> None:
    link = await ServiceLink.opened(end)
    config: Config = decode(link.config)
    assert config.http is not None  # noqa: S101 - else it would not have been started
    logging.basicConfig(level=logging.WARNING, handlers=[LogLines(link)])
    await serve(make_app(config, link), config.http, listening, link)


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]])
