"""An IOC of the kit that posts an exact number of updates, and has an account of them.

Settings: `port`, `prefix`, `count`: PVs `C0 …`, each of which counts its updates.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.ioc import IocServer, serve  # first: it sets caproto up

# isort: split
import caproto as ca

from orchestrator import loops
from orchestrator.bench.programs.answering import answer_all, settings

_ROW = 20
"""Updates between two looks whether there is room for more."""


class Poster:
    """What the benchmark asks of it."""

    def __init__(self, server: IocServer, pvs: list[Any]) -> None:
        """Nothing is posted yet."""
        self._server = server
        self._pvs = pvs
        self._gone: Counter[str] = Counter()

    async def post(self, updates: int) -> dict[str, Any]:
        """Post so many, to one PV after the other, as fast as clients take them."""
        for number in range(updates):
            pv = self._pvs[number % len(self._pvs)]
            await pv.write(pv.value + 1, verify_value=False)
            if number % _ROW == 0:
                await self._server.room()
        await self._server.room()
        return {}

    async def hang_up(self) -> dict[str, Any]:
        """Disconnect all clients; what waits for them is lost."""
        self._gone += self._figures()
        self._server.disconnect_clients()
        return {"waiting": self._gone["waiting"]}

    async def figures(self) -> dict[str, Any]:
        """What became of the updates so far, summed over PVs and clients."""
        return dict(self._gone + self._figures())

    def _figures(self) -> Counter[str]:
        """Of the values: a client's subscription to metadata has had its first update only."""
        total: Counter[str] = Counter()
        for circuit in self._server._context.circuits:  # noqa: SLF001 - the benchmark looks inside
            for feed in circuit.outbox.feeds:
                if feed.spec.data_type_name.startswith("TIME"):
                    total += Counter(asdict(feed.figures))
        return total


async def main(given: Mapping[str, Any]) -> None:
    """Serve until the benchmark has no more questions."""
    pvs = {f"{given['prefix']}C{n}": ca.ChannelDouble(value=0.0) for n in range(given["count"])}
    async with serve(pvs, port=given["port"], interfaces=["127.0.0.1"]) as server:
        poster = Poster(server, list(pvs.values()))
        posting: set[asyncio.Task[Any]] = set()

        async def begin(updates: int) -> dict[str, Any]:
            """Post, and answer at once."""
            posting.add(asyncio.create_task(poster.post(updates), name="posts"))
            return {}

        async def end() -> dict[str, Any]:
            """Return when all has been posted."""
            await asyncio.gather(*posting)
            posting.clear()
            return {}

        await answer_all(
            {"begin": begin, "end": end, "hang_up": poster.hang_up, "figures": poster.figures}
        )


if __name__ == "__main__":
    loops.run(main(settings()))
