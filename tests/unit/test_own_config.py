"""Tables `[own.NAME]`: what they may say, and what is told of what they may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.config import load_config, names_of
from orchestrator.errors import CheckError
from orchestrator.types import Limits, NativeType


def load(directory: Path, text: str):
    file = directory / "orchestrator.toml"
    file.write_text(text)
    return load_config(file)


def test_all_of_a_table_is_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        prefix = "BL:"
        [own.best]
        type = "double"
        units = "mm"
        precision = 2
        limits = [-10, 10]
        value = 3
        write = true
        keep = true
        alarm = { high = 5, hihi = 8 }
        [own.wave]
        type = "array"
        count = 4
        value = [1, 2.5]
        """,
    )
    best = config.own["own.best"]
    assert (best.name, best.value, best.write, best.keep) == ("own.best", 3.0, True, True)
    known = best.metadata
    assert (known.native, known.units, known.precision) == (NativeType.DOUBLE, "mm", 2)
    assert known.control == known.display == Limits(-10, 10)
    assert (known.warning.high, known.alarm.high) == (5, 8)
    assert np.isnan([known.warning.low, known.alarm.low]).all(), "as a record tells of none"
    wave = config.own["own.wave"]
    assert (wave.metadata.count, list(wave.value)) == (4, [1.0, 2.5])


def test_its_pv_and_its_channel_are_one_name(tmp_path: Path) -> None:
    config = load(tmp_path, 'prefix = "BL:"\nown.best = { type = "double" }\n')
    names = names_of(config)
    assert names.resolve("own.best") == "own.best"
    assert names.resolve("BL:best") == "own.best"
    assert names.pv("own.best") == "BL:best"
    assert "own.best" not in config.remote_channels


WRONG = {
    'type = "flot"': r"own\.best\.type.*'double'",
    'type = "double"\nlabels = ["a"]': "type = 'double' takes no labels; it is for enum",
    'type = "text"\nunits = "mm"': "type = 'text' takes no units; it is for double, long, array",
    'type = "enum"': "type = 'enum' needs labels",
    'type = "array"': "type = 'array' needs count",
    'type = "double"\nlimits = [5, 1]': r"limits = \[5\.0, 1\.0\]: the lower one has to be below",
    'type = "double"\nlimits = [5, 9]': "value: 0 is outside its limits, 5 … 9",
    'type = "long"\nvalue = 1.5': r"value: .*1\.5",
    'type = "long"\nvalue = true': "value",
    'type = "enum"\nlabels = ["A"]\nvalue = "B"': "'B' is none of its labels; they are 0 = A",
    'type = "enum"\nlabels = ["A", "A"]': "labels: 'A'",
    'type = "double"\nalarm = { high = 5, low = 6 }': "low = 6 is above high = 5",
    'type = "double"\nunits = "millimetres"': "EPICS has room for 8 bytes",
    'type = "array"\ncount = 20000\nkeep = true': "more than 10,000 elements is not kept",
    'type = "double"\nkept = true': "'kept'.*did you mean 'keep'",
}


@pytest.mark.parametrize("table", WRONG)
def test_what_is_wrong_is_told_with_what_would_be_right(tmp_path: Path, table: str) -> None:
    with pytest.raises(CheckError, match=WRONG[table]):
        load(tmp_path, f"[own.best]\n{table}\n")


def test_names_of_the_services_own_pvs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckError) as caught:
        load(tmp_path, '\n[own.START]\ntype = "double"\n[own.message]\ntype = "text"\n')
    first, second = caught.value.findings
    assert "toml:2: own.START would be served as ORCH:START, which the service has" in first
    assert "toml:4: own.message" in second


def test_a_chained_ioc_of_that_name_is_refused_beside_them(tmp_path: Path) -> None:
    chained = '[chain.own]\nprefix = "X:"\nchannels.a = "A"\n'
    assert load(tmp_path, chained).channels
    with pytest.raises(CheckError, match=r"toml:1: a chained IOC can't be named own where"):
        load(tmp_path, f'{chained}[own.best]\ntype = "double"\n')


def test_a_name_with_a_dot_or_a_blank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="can't be used in expressions"):
        load(tmp_path, '[own."a.b"]\ntype = "double"\n')


def test_a_channel_of_the_chain_that_is_the_same_pv_is_refused(tmp_path: Path) -> None:
    text = '[chain.me]\nprefix = "ORCH:"\nchannels.b = "best"\n[own.best]\ntype = "double"\n'
    with pytest.raises(CheckError, match=r"me\.b and own\.best are the same PV, ORCH:best"):
        load(tmp_path, text)
