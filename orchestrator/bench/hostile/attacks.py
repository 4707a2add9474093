"""What clients do that are not in their right mind; each bounded in number and time.

A program of its own: `python -m orchestrator.bench.hostile.attacks NAME SEED SECONDS TARGET`, the
target as JSON. It prints what it has sent, a line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.bench.hostile import wire
from orchestrator.bench.hostile.wire import LOOPBACK, Circuit, message


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked."""

    port: int
    pv: str
    """A double that changes."""
    heartbeat: str
    text: str
    """Takes puts of text."""
    start: str
    """Takes puts of a number; refuses most where it can."""


class Attack:
    """One attack: its time, its dice, what it has done."""

    def __init__(self, target: Target, seed: int, seconds: float) -> None:
        self.target = target
        self.dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.until = time.monotonic() + seconds
        self.sent = 0
        self.circuits = 0

    @property
    def goes_on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self.until

    @property
    def left(self) -> float:
        """S."""
        return max(0.0, self.until - time.monotonic())

    def rounds(self, most: int) -> Iterator[int]:
        """Numbers, as long as there is time."""
        for number in range(most):
            if not self.goes_on:
                return
            yield number

    @contextlib.contextmanager
    def circuit(self) -> Iterator[Circuit]:
        """A connection; that the server hangs up on us ends what is done with it.

        Raises:
            OSError: The server lets nobody in; it may be gone.
        """
        with self._connected() as circuit, contextlib.suppress(OSError, TimeoutError):
            self.circuits += 1
            yield circuit

    def _connected(self) -> Circuit:
        for _ in range(20):
            with contextlib.suppress(OSError):
                return Circuit(self.target.port)
            time.sleep(0.05)
        return Circuit(self.target.port)

    def send(self, circuit: Circuit, data: bytes, count: int) -> None:
        """Send so many requests, reading nothing but what is in the way."""
        sent = circuit.flood(data, self.until)
        self.sent += count * sent // max(1, len(data))


Run = Callable[[Attack], None]
ATTACKS: dict[str, tuple[str, Run]] = {}


def attack(run: Run) -> Run:
    """Register one by its function's name."""
    ATTACKS[run.__name__] = ((run.__doc__ or "").rstrip("."), run)
    return run


@attack
def channels(a: Attack) -> None:
    """70,000 CREATE_CHAN on one circuit."""
    with a.circuit() as c:
        a.send(c, b"".join(wire.create(a.target.pv, cid) for cid in range(70_000)), 70_000)
        _stay(a, c)


@attack
def subscriptions(a: Attack) -> None:
    """Subscriptions without end on one circuit."""
    with a.circuit() as c:
        sid = c.channel(a.target.heartbeat)
        for first in a.rounds(50):
            numbers = range(first * 20_000, (first + 1) * 20_000)
            a.send(c, b"".join(wire.subscribe(sid, n) for n in numbers), 20_000)


@attack
def cancelled(a: Attack) -> None:
    """Subscriptions, cancelled and asked for again."""
    with a.circuit() as c:
        sid = c.channel(a.target.pv)
        ask = b"".join(wire.subscribe(sid, n) for n in range(5000))
        cancel = b"".join(
            message(wire.EVENT_CANCEL, wire.TIME_DOUBLE, 1, sid, n) for n in range(5000)
        )
        for _ in a.rounds(100):
            a.send(c, ask + cancel, 10_000)


@attack
def puts(a: Attack) -> None:
    """50,000 puts of text at once."""
    with a.circuit() as c:
        sid = c.channel(a.target.text)
        one = message(wire.WRITE, wire.CHAR, 8, sid, 1, b"nonsense")
        a.send(c, one * 50_000, 50_000)
        _stay(a, c)


@attack
def put_callbacks(a: Attack) -> None:
    """50,000 put-callbacks at once, of a number."""
    with a.circuit() as c:
        sid = c.channel(a.target.start)
        value = struct.pack(">d", 1.0)
        a.send(
            c,
            b"".join(
                message(wire.WRITE_NOTIFY, wire.DOUBLE, 1, sid, n, value) for n in range(50_000)
            ),
            50_000,
        )
        _stay(a, c)


@attack
def unread(a: Attack) -> None:
    """600,000 put-callbacks and gets whose answers are not read."""
    with a.circuit() as c:
        sid, read = c.channel(a.target.start, 1), c.channel(a.target.text, 2)
        value = struct.pack(">d", 1.0)
        pair = b"".join(
            message(wire.WRITE_NOTIFY, wire.DOUBLE, 1, sid, n, value)
            + message(wire.READ_NOTIFY, wire.CHAR, 0, read, n)
            for n in range(10_000)
        )
        for _ in a.rounds(60):
            a.sent += 20_000 * c.send(pair, min(1.0, a.left)) // len(pair)


@attack
def plain_puts(a: Attack) -> None:
    """600,000 puts without callback, refused ones among them, whose errors are not read."""
    with a.circuit() as c:
        sid, text = c.channel(a.target.start, 1), c.channel(a.target.text, 2)
        pair = b"".join(
            message(wire.WRITE, wire.DOUBLE, 1, sid, n, struct.pack(">d", 7.0))
            + message(wire.WRITE, wire.CHAR, 8, text, n, b"nonsense")
            for n in range(10_000)
        )
        for _ in a.rounds(60):
            a.sent += 20_000 * c.send(pair, min(1.0, a.left)) // len(pair)


@attack
def gone(a: Attack) -> None:
    """5000 put-callbacks, and gone before they are answered; again and again."""
    value = struct.pack(">d", 7.0)
    for _ in a.rounds(200):
        with a.circuit() as c:
            sid = c.channel(a.target.start)
            c.send(
                b"".join(
                    message(wire.WRITE_NOTIFY, wire.DOUBLE, 1, sid, n, value) for n in range(5000)
                ),
                0.05,
            )
            a.sent += 5000
            _reset(c)


@attack
def resets(a: Attack) -> None:
    """Connections reset before they are accepted."""
    for _ in a.rounds(20_000):
        with contextlib.suppress(OSError):
            s = socket.create_connection((LOOPBACK, a.target.port), timeout=1.0)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
            a.circuits += 1


@attack
def half_open(a: Attack) -> None:
    """2000 connections that say nothing."""
    with contextlib.ExitStack() as stack:
        for _ in a.rounds(2000):
            with contextlib.suppress(OSError):
                stack.enter_context(Circuit(a.target.port, silent=True))
                a.circuits += 1
        time.sleep(a.left)


@attack
def crowd(a: Attack) -> None:
    """300 clients, each with 50 subscriptions."""
    with contextlib.ExitStack() as stack:
        for _ in a.rounds(300):
            with contextlib.suppress(OSError, TimeoutError):
                c = stack.enter_context(Circuit(a.target.port))
                sid = c.channel(a.target.heartbeat)
                c.send(b"".join(wire.subscribe(sid, n) for n in range(50)))
                a.circuits += 1
                a.sent += 50
        time.sleep(a.left)


@attack
def slow(a: Attack) -> None:
    """A client that reads a byte in 20 ms, and one that does not read at all."""
    with a.circuit() as c, a.circuit() as frozen:
        for circuit in (c, frozen):
            sid = circuit.channel(a.target.text)
            circuit.send(b"".join(wire.subscribe(sid, n, wire.CHAR, 0) for n in range(100)))
            circuit.send(message(wire.READ_NOTIFY, wire.CHAR, 0, sid, 1) * 5000)
            a.sent += 5100
        while a.goes_on:
            c.socket.recv(1)
            time.sleep(0.02)


@attack
def gets(a: Attack) -> None:
    """Gets, as many as go."""
    with a.circuit() as c:
        sid = c.channel(a.target.pv)
        one = message(wire.READ_NOTIFY, wire.TIME_DOUBLE, 1, sid, 1)
        for _ in a.rounds(100):
            a.send(c, one * 5000, 5000)


@attack
def echoes(a: Attack) -> None:
    """Echoes, as many as go, on 50 circuits."""
    with contextlib.ExitStack() as stack:
        circuits = []
        for _ in range(50):
            with contextlib.suppress(OSError):
                circuits.append(stack.enter_context(Circuit(a.target.port)))
        while a.goes_on and circuits:
            for c in list(circuits):
                try:
                    sent = c.flood(message(wire.ECHO) * 100, time.monotonic() + 0.05)
                    a.sent += sent // 16
                except OSError:
                    circuits.remove(c)


@attack
def toggled(a: Attack) -> None:
    """Updates turned off and on, all the time."""
    with a.circuit() as c:
        sid = c.channel(a.target.heartbeat)
        c.send(b"".join(wire.subscribe(sid, n) for n in range(200)))
        for _ in a.rounds(1000):
            a.send(c, (message(wire.EVENTS_OFF) + message(wire.EVENTS_ON)) * 500, 1000)


@attack
def headers(a: Attack) -> None:
    """Each field of a header at its edges."""
    edges = (0, 1, 2, 8, 16, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
    wide = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
    for _ in a.rounds(20_000):
        with a.circuit() as c:
            c.channel(a.target.pv)
            for _ in a.rounds(200):
                pick = a.dice.choice
                header = struct.pack(
                    ">HHHHII", pick(range(30)), pick(edges), *map(pick, (edges, edges, wide, wide))
                )
                c.socket.sendall(header + a.dice.randbytes(pick((0, 8, 16, 40))))
                a.sent += 1


@attack
def names(a: Attack) -> None:
    """Names of 0, 60, 4000 and 60,000 bytes, with filters, with control characters."""
    pv = a.target.pv
    all_names = [
        b"", b"x" * 60, b"x" * 4000, b"x" * 60_000, b"\xff" * 100, b"\n\x1b[31m", b".", b"." * 4000,
        *(
            f"{pv}{end}".encode()
            for end in (
                ".", ".VAL", ".NO", "$", ".$", ".VAL$", ".{", '.{"dbnd":{"abs":"x"}}', ".[::0]",
                ".[1:2:3:4]", ".{}", '.{"arr":{"s":-9,"i":0}}', '.{"sync":{"m":"while","s":"x"}}',
                ".{" + "[" * 3000, '.{"ts":{}}', '.{"dbnd":{"rel":1e308}}', ".[-99999999999999:]",
            )
        ),
    ]  # fmt: skip
    for _ in a.rounds(1000):
        with a.circuit() as c:
            for cid in a.rounds(500):
                name = a.dice.choice(all_names)
                c.socket.sendall(wire.create(name, cid) + wire.search(name, cid, 10))
                c.socket.sendall(message(wire.CLIENT_NAME, payload=name + b"\0"))
                a.sent += 3
            _drain(c)


@attack
def commands(a: Attack) -> None:
    """Unknown commands and versions."""
    for _ in a.rounds(20_000):
        with a.circuit() as c:
            first = a.dice.choice((0, 1, 12, 14, 99, 0xFFFF))
            c.socket.sendall(message(wire.VERSION, a.dice.choice((0, 1, 99, 0xFFFF)), first))
            for _ in range(20):
                c.socket.sendall(message(a.dice.randrange(0x10000), payload=b"12345678"))
                a.sent += 1
            _drain(c, 0.02)


@attack
def types(a: Attack) -> None:
    """Types that there are not, counts that are not there."""
    for _ in a.rounds(2000):
        with a.circuit() as c:
            sid = c.channel(a.dice.choice((a.target.pv, a.target.text, a.target.start)))
            for n in a.rounds(200):
                kind = a.dice.choice((*range(41), 99, 0xFFFF))
                count = a.dice.choice((0, 1, 2, 1000, 0xFFFE, 2**20, 2**31, 2**32 - 1))
                what = a.dice.choice((wire.READ_NOTIFY, wire.READ, wire.WRITE_NOTIFY, wire.WRITE))
                c.send(message(what, kind, count, sid, n, a.dice.randbytes(16)), 0.1)
                c.send(wire.subscribe(sid, n, kind, count), 0.1)
                a.sent += 2
            _drain(c, 0.05)


@attack
def ids(a: Attack) -> None:
    """Numbers of channels, requests and subscriptions that nobody gave."""
    for _ in a.rounds(2000):
        with a.circuit() as c:
            sid = c.channel(a.target.pv)
            for _ in a.rounds(100):
                number = a.dice.choice((0, 1, sid, sid + 1, 2**16, 2**31, 2**32 - 1))
                other = a.dice.choice((0, 1, 2**32 - 1))
                what = a.dice.choice((1, 2, 3, 4, 12, 15, 18, 19))
                payload = a.target.pv.encode() + b"\0" if what == wire.CREATE_CHAN else bytes(16)
                c.socket.sendall(message(what, wire.TIME_DOUBLE, 1, number, other, payload))
                a.sent += 1
            _drain(c, 0.02)


@attack
def large(a: Attack) -> None:
    """Payloads of 1 GiB claimed, of 19 MB begun on 100 circuits."""
    with contextlib.ExitStack() as stack:
        for number in a.rounds(100):
            with contextlib.suppress(OSError, TimeoutError):
                c = stack.enter_context(Circuit(a.target.port))
                sid = c.channel(a.target.text)
                claimed = 2**30 if number % 10 == 0 else 19_000_000
                begun = message(
                    wire.WRITE, wire.CHAR, 0xFFFF, sid, 1, bytes(3_000_000), size=claimed
                )
                c.send(begun, 0.5)
                a.circuits += 1
                a.sent += 1
        time.sleep(a.left)


@attack
def searches(a: Attack) -> None:
    """Searches by UDP, as many as go."""
    ours = b"".join(wire.search(a.target.pv, cid) for cid in range(20))
    others = b"".join(wire.search(f"NOT:HERE:{cid}", cid) for cid in range(20))
    large = b"".join(wire.search(a.target.pv, cid) for cid in range(1500))
    _datagrams(a, [message(wire.VERSION, 1, 13, 7) + some for some in (ours, others, large)])


@attack
def datagrams(a: Attack) -> None:
    """UDP datagrams of anything."""
    good = message(wire.VERSION, 1, 13, 7) + wire.search(a.target.pv, 1)
    some = [a.dice.randbytes(a.dice.randrange(1, 1400)) for _ in range(50)]
    some += [bytes(65_000), good[:20], good[:-1], b"\0", message(wire.SEARCH, size=0xFFF0)]
    _datagrams(a, some + [_mutated(a, good) for _ in range(200)])


@attack
def fuzz(a: Attack) -> None:
    """Recorded conversations with bytes changed, left out, repeated."""
    value = struct.pack(">d", 3.0)
    for _ in a.rounds(20_000):
        with a.circuit() as c:
            sid = c.channel(a.target.pv)
            talk = [
                wire.create(a.target.text, 2),
                wire.subscribe(sid, 5),
                message(wire.READ_NOTIFY, wire.TIME_DOUBLE, 1, sid, 9),
                message(wire.WRITE_NOTIFY, wire.DOUBLE, 1, sid, 10, value),
                message(wire.EVENTS_OFF) + message(wire.EVENTS_ON),
                wire.search(a.target.pv, 3, 10),
                message(wire.EVENT_CANCEL, wire.TIME_DOUBLE, 1, sid, 5),
                message(wire.ECHO),
                message(wire.CLEAR, 0, 0, sid, 1),
            ]
            a.dice.shuffle(talk)
            for part in talk:
                c.socket.sendall(_mutated(a, part) if a.dice.random() < 0.5 else part)
                a.sent += 1
            _drain(c, 0.01)


def _mutated(a: Attack, data: bytes) -> bytes:
    raw = bytearray(data)
    for _ in range(a.dice.randrange(1, 4)):
        at = a.dice.randrange(len(raw))
        match a.dice.randrange(4):
            case 0:
                raw[at] = a.dice.choice((0, 1, 0x7F, 0x80, 0xFF, a.dice.randrange(256)))
            case 1:
                raw[at : at + a.dice.randrange(1, 9)] = b"\0"
            case 2:
                raw[at:at] = raw[: a.dice.randrange(1, 17)]
            case _:
                raw[at] ^= 1 << a.dice.randrange(8)
    return bytes(raw)


def _datagrams(a: Attack, some: list[bytes]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setblocking(False)
        for number in a.rounds(2_000_000):
            with contextlib.suppress(OSError):
                s.sendto(some[number % len(some)], (LOOPBACK, a.target.port))
                a.sent += 1


def _stay(a: Attack, circuit: Circuit) -> None:
    """Read what comes, to the end of the time."""
    while a.goes_on:
        _drain(circuit, min(0.2, a.left))


def _drain(circuit: Circuit, seconds: float = 0.1) -> None:
    for _ in circuit.messages(seconds):
        pass


def _reset(circuit: Circuit) -> None:
    circuit.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    circuit.socket.close()


def main(name: str, seed: int, seconds: float, target: dict[str, Any]) -> None:
    """Attack, and tell what was sent."""
    one = Attack(Target(**target), seed, seconds)
    with contextlib.suppress(OSError, TimeoutError):
        ATTACKS[name][1](one)
    print(json.dumps({"sent": one.sent, "circuits": one.circuits}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), json.loads(sys.argv[4]))
