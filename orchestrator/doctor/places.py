"""The ports at which a service would serve."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from orchestrator.cas import ANY, serving
from orchestrator.config import Config
from orchestrator.doctor.symptom import Symptom, error, ok, warning
from orchestrator.errors import InputError
from orchestrator.ioc.serving.sockets import PortTakenError, bind
from orchestrator.present import find_present


def own_ports(config: Config) -> Iterator[Symptom]:
    """Whether the service can serve, or does so already."""
    here = [p for p in find_present(config.store) if p.kind == "service"]
    if served := [f"{present.title} at {present.address}" for present in here]:
        yield ok("server", f"served by {', '.join(served)} of this store")
        return
    yield from _channel_access(config)
    yield from _http(config)


def _channel_access(config: Config) -> Iterator[Symptom]:
    about = "server"
    try:
        place = serving(config.server.port, config.server.interfaces)
        bind(place.port, place.interfaces).close()
    except PortTakenError as taken:
        text, _, _ = str(taken).partition(": ")
        yield error(
            about,
            f"{text}, by an IOC or a service that is none of this store's",
            "stop it, or choose another: [server] port, and add it to the clients' "
            "EPICS_CA_ADDR_LIST as host:port",
        )
        return
    except InputError as wrong:
        yield error(about, str(wrong), "correct it; docs/reference/environment.md has all of them")
        return
    for text in place.warnings:
        yield warning(about, text, "correct the variable, or take it away")
    where = " ".join("all addresses" if each == ANY else each for each in place.interfaces)
    if _shared(place.port, place.interfaces):
        yield warning(
            about,
            f"another server of this host hears searches at port {place.port}: of those to this "
            "host's own address only one of the two hears",
            "give one of them a port of its own, and list it as host:port",
        )
    yield ok(about, f"port {place.port} of {where} can be served")


def _shared(port: int, interfaces: tuple[str, ...]) -> bool:
    """Whether somebody else has the UDP port, who shares it."""
    for interface in interfaces:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind((interface, port))
            except OSError:
                return True
    return False


def _http(config: Config) -> Iterator[Symptom]:
    if config.http is None:
        return
    about, port = "http", config.http.port
    for interface in config.http.interfaces:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((interface, port))
            except OSError as failed:
                yield error(
                    about,
                    f"port {port} of {interface}: {failed.strerror}",
                    "choose another: [http] port or interfaces",
                )
                return
    file = config.http.token_file
    if file is not None and file.exists() and file.stat().st_mode & 0o077:
        yield warning(about, f"others may read the tokens in {file}", f"chmod 600 {file}")
    if file is None and not config.http.read_only and set(config.http.interfaces) - {"127.0.0.1"}:
        yield warning(
            about,
            "everybody who reaches this host may start and stop runs",
            "[http] token_file or read_only = true",
        )
    yield ok(about, f"port {port} of {' '.join(config.http.interfaces)} can be served")
