"""caproto's own examples, chained by one service: IOCs that nobody here wrote.

Those that do not start with caproto alone are named in `caproto_examples.ELSEWHERE`, with what
each needs; any other one that does not start, or does not do, fails here.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path

import pytest
from caproto_examples import (
    BLACK_HOLES,
    ELSEWHERE,
    EXAMPLES,
    ExampleIoc,
    Starter,
    examples,
    modules,
)
from service_rig import PREFIX, Process, Rig, environment, held_udp_port, rig_of, until

from sim_iocs.fleet import Fleet

ALONE = [name for name, example in EXAMPLES.items() if example.huge]
"""Those that would have all others wait for the processor."""

MODULES = [name for name in modules() if name not in {*ELSEWHERE, *BLACK_HOLES, *ALONE}]

Chained = tuple[Rig, dict[str, ExampleIoc], "Reader"]


class Reader:
    """Another client, that compares PVs with their mirrors."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._asked = 0

    @cached_property
    def _process(self) -> Process:
        program = Path(__file__).with_name("mirror_reader.py")
        return self._rig.spawn(sys.executable, str(program))

    def differences(self, pairs: list[list[str]]) -> list[str]:
        """How mirrors differ from their PVs, after they had time to follow."""
        self._asked += 1
        self._process.write(json.dumps(pairs))
        until(lambda: self._process.output.count("\n") >= self._asked, 30, self._process.log)
        return list(json.loads(self._process.output.splitlines()[-1]))


def table(ioc: ExampleIoc, pvs: list[str]) -> str:
    """Its part of the configuration."""
    lines = [f"[chain.{ioc.name}]", f'prefix = "{ioc.prefix}"', f'address = "{ioc.address}"']
    for pv in pvs:
        text = ", text = true" if pv.endswith("$") else ""
        lines.append(f'channels.{alias(ioc, pv)} = {{ pv = "{pv}"{text} }}')
    return "\n".join(lines)


def alias(ioc: ExampleIoc, pv: str) -> str:
    """Of a channel, without that of its IOC."""
    return ioc.channel(pv).partition(".")[2]


@contextmanager
def chain(
    names: Sequence[str], starter: Starter, folder: Path, timeout: float = 15
) -> Iterator[Chained]:
    """These examples, and one service that chains them."""
    with examples(names, starter) as iocs:
        tables = "\n".join(table(ioc, ioc.pvs) for ioc in iocs.values())
        others = [ioc.address for ioc in iocs.values()]
        with rig_of(Fleet([]), folder / "rig", tables, timeout, others=others) as rig:
            yield rig, iocs, Reader(rig)


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    with closing(Starter()) as starter:
        yield starter


@pytest.fixture(scope="module")
def chained(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chained]:
    """All that can stand each other."""
    with chain(MODULES, starter, tmp_path_factory.mktemp("examples")) as both:
        yield both


def test_every_example_is_either_run_or_named_with_what_it_needs() -> None:
    named = set(EXAMPLES) | set(ELSEWHERE) | set(BLACK_HOLES)
    assert named <= set(modules()), "an example that there is no more"
    assert len(MODULES) > 30


@pytest.mark.parametrize("module", ELSEWHERE)
def test_an_example_that_needs_more_than_caproto_says_so(
    module: str, starter: Starter, tmp_path: Path
) -> None:
    ioc = ExampleIoc(module, tmp_path, starter)
    try:
        ioc.start("")
        assert ioc.end() != 0
        assert ELSEWHERE[module][1] in ioc.output
    finally:
        ioc.close()


def test_all_channels_of_all_examples_are_connected(chained: Chained) -> None:
    rig, iocs, _ = chained
    assert rig.get("CHAIN:COUNT") == sum(len(ioc.pvs) for ioc in iocs.values()) > 200
    rig.until("CHAIN:DISCONNECTED", "", timeout=20)
    assert {rig.get(f"CHAIN:{ioc.name}:STATUS") for ioc in iocs.values()} == {"Connected"}


@pytest.mark.parametrize("module", MODULES)
def test_an_example_is_read_monitored_and_written(chained: Chained, module: str) -> None:
    rig, iocs, reader = chained
    go_through(rig, iocs[module], reader)


def go_through(rig: Rig, ioc: ExampleIoc, reader: Reader) -> None:
    """Run a sequence over all that it serves, and compare that with the mirrors."""
    outcome = rig.run(sequence_for(rig, ioc))
    assert outcome["STATUS"] == "Success", outcome["message"]
    assert outcome["DATA:NPTS"] == bool(small(ioc))
    pairs = [[ioc.prefix + pv, f"{PREFIX}MON:{ioc.name}:{alias(ioc, pv)}"] for pv in small(ioc)]
    assert reader.differences(pairs) == []


def sequence_for(rig: Rig, ioc: ExampleIoc) -> str:
    """Reads all of its PVs, writes to each that takes it what it has, waits for those that move."""
    about = ioc.about
    channels = ", ".join(map(ioc.channel, small(ioc)))
    steps = [f"sample: {{channels: [{channels}], timeout: 15}}"] if channels else []
    for pv in small(ioc):
        if pv in about.not_written or pv in about.refused:
            continue
        if rig.client.info(ioc.prefix + pv)["writable"]:
            steps.append(put_back(ioc, pv))
    moving = map(ioc.channel, about.moving)
    steps += [f'wait: {{pv: {channel}, not: "={channel}", timeout: 10}}' for channel in moving]
    steps += [
        f'wait: {{until: "len({ioc.channel(pv)}) == {size}", timeout: 100}}'
        for pv, size in about.huge.items()
    ]
    return "steps:\n" + "".join(f"  - {step}\n" for step in steps)


def small(ioc: ExampleIoc) -> list[str]:
    """What is chained of it, but what is huge."""
    return [pv for pv in ioc.pvs if pv not in ioc.about.huge]


def put_back(ioc: ExampleIoc, pv: str) -> str:
    """A step that writes to a PV what it has."""
    channel = ioc.channel(pv)
    return f'set: {{pv: {channel}, value: "={channel}", timeout: 10}}'


@pytest.mark.parametrize(
    ("module", "pv"), [(module, pv) for module in EXAMPLES for pv in EXAMPLES[module].refused]
)
def test_what_an_example_refuses_fails_the_run_which_says_so(
    chained: Chained, module: str, pv: str
) -> None:
    rig, iocs, _ = chained
    outcome = rig.run(f"steps:\n  - {put_back(iocs[module], pv)}\n")
    assert outcome["STATUS"] == "Failed"
    assert EXAMPLES[module].refused[pv] in outcome["message"]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("module", ALONE)
def test_an_example_that_takes_all_it_can_get_is_followed(
    module: str, starter: Starter, tmp_path: Path
) -> None:
    """Its IOC hardly finds time to answer, the less the busier the machine is.

    So it has minutes to be found, and nothing is compared that it sends meanwhile.
    """
    with chain([module], starter, tmp_path, timeout=150) as (rig, iocs, _):
        outcome = rig.run(sequence_for(rig, iocs[module]), timeout=300)
        assert outcome["STATUS"] == "Success", f"{outcome['message']}\n{rig.log}"


@pytest.mark.parametrize("module", BLACK_HOLES)
def test_a_server_that_answers_to_every_name_is_chained_by_a_run(
    module: str, starter: Starter, tmp_path: Path
) -> None:
    """It would answer to the names of a service, too, were there one."""
    with examples([module], starter) as iocs, held_udp_port() as repeater:
        ioc = iocs[module]
        (tmp_path / "orchestrator.toml").write_text(table(ioc, ["any", "thing"]))
        channels = [ioc.channel(pv) for pv in ("any", "thing")]
        (tmp_path / "one.yaml").write_text(
            f"steps:\n"
            f"  - set: {{pv: {channels[0]}, value: 3}}\n"
            f"  - sample: [{', '.join(channels)}]\n"
        )
        command = [sys.executable, "-P", "-m", "orchestrator", "run", "one.yaml"]
        run = Process(command, environment(ioc.address, repeater=repeater), tmp_path)
        try:
            assert run.end(20) == 0, run.errors
            (file,) = (tmp_path / "runs").glob("runs/*/data.csv")
            (row,) = csv.DictReader(file.read_text().splitlines())
            assert [float(row[channel]) for channel in channels] == [3, 0]
        finally:
            run.close()
