"""The server with a stand-in for the device: the test answers the commands itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from ioc_kit_clients import Client, Clients, clients, until

from orchestrator.api import Api, Subscription
from orchestrator.config import ChainConfig, ChannelConfig, Config, ServerConfig
from orchestrator.ioc import IocServer
from orchestrator.transports.ca import Server
from orchestrator.types import Command, NativeType, PushItem, Reply, Severity, Update

LOOPBACK = ServerConfig(port=0, interfaces=("127.0.0.1",))


def config(**changes: object) -> Config:
    """A chained IOC with four channels; served on a free port of loopback."""
    channels = [
        ChannelConfig("stage.x", "S:X", buffer=100),
        ChannelConfig("stage.mode", "S:MODE"),
        ChannelConfig("stage.known", "S:KNOWN", type=NativeType.DOUBLE),
        ChannelConfig("stage.deep.name", "S:DEEP", mirror=False),
    ]
    chain = ChainConfig("stage", "S:", channels={channel.name: channel for channel in channels})
    return replace(Config(server=LOOPBACK, chain={"stage": chain}), **changes)


@dataclass
class Service:
    """A served Server, and both sides of its door."""

    ioc: IocServer
    clients: Clients
    api: Api
    published: Subscription
    commands: list[Command] = field(default_factory=list)

    def offer(self, item: Command) -> None:
        """The near end of the pull queue."""
        self.commands.append(item)

    async def command(self, number: int = 0) -> Command:
        """A command that has come from a client, the first by default."""
        await until(lambda: len(self.commands) > number)
        return self.commands[number]

    def publish(self, *items: PushItem) -> None:
        for item in items:
            self.api.offer(item)

    def begin(self) -> None:
        """What the device publishes when a run starts."""
        self.publish(
            Update("status", "Undefined"),
            Update("run_id", "run-1"),
            Update("start", 1),
            Update("busy", 1),
        )

    def end(self, request: int, status: str, error: str) -> None:
        """What the device publishes when a run ends."""
        severity = Severity.MAJOR if error else Severity.NO_ALARM
        self.publish(
            Update("message", error, severity=severity, status=7),
            Update("status", status, severity=severity, status=7),
            Update("start", 0),
            Update("busy", 0),
            Reply(request, error),
        )


class _Later:
    """Passes commands on to a service that is not there yet."""

    service: Service

    def offer(self, item: Command) -> None:
        self.service.offer(item)


@asynccontextmanager
async def serving(served: Config | None = None) -> AsyncIterator[Service]:
    """The service's PVs, for clients of their own processes."""
    pull = _Later()
    api = Api(pull)
    server = Server(served or config(), api)
    async with server.running() as ioc, clients(ioc.port) as made:
        pull.service = Service(ioc, made, api, server.published)
        yield pull.service


async def says(client: Client, *expected: object) -> None:
    """The client says this next, once each."""
    for item in expected:
        said = await client.said()
        assert said == item, f"{said} instead of {item}"
