"""Values are what the IOC has: whole numbers, FLOATs, precisions, labels, alarms, ages."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.types import Limits, Metadata, NativeType, RunStatus

LONG = Metadata(NativeType.LONG)
FLOAT = Metadata(NativeType.FLOAT)
F07 = float(np.float32(0.7))


def having(**channels):
    """Give channels of the bench other metadata, and perhaps a value."""

    def before(it):
        for name, given in channels.items():
            metadata, value = given if isinstance(given, tuple) else (given, 0)
            it.sim.add(f"sim.{name}", value, metadata=metadata)

    return before


def stuck(name, metadata, value):
    """A readback that does not move, of a channel of the same type."""

    def before(it):
        it.sim.add("sim.x", 0, metadata=metadata)
        it.sim.add(f"sim.{name}", value, metadata=metadata)

    return before


@pytest.mark.parametrize("native", [NativeType.LONG, NativeType.SHORT, NativeType.CHAR])
@pytest.mark.parametrize("tolerance", ["", "tolerance: 0,", "tolerance: 0.999,"])
def test_the_next_whole_number_is_no_readback(run, native, tolerance):
    most = {NativeType.LONG: 2_000_000_001, NativeType.SHORT: 32_001, NativeType.CHAR: 201}[native]
    text = f"steps: [{{set: {{pv: sim.x, value: {most}, readback: sim.x_rbv, {tolerance}"
    ended, _ = run(text + "timeout: 2}}]", before=stuck("x_rbv", Metadata(native), most - 1))
    assert ended.status is RunStatus.TIMEOUT
    assert f"last seen at {most - 1}, wanted {most}" in ended.message
    ended, _ = run(text + "timeout: 2}}]", before=stuck("x_rbv", Metadata(native), most))
    assert ended.status is RunStatus.SUCCESS


def test_a_wait_for_a_whole_number_is_not_met_by_its_neighbour(run):
    wait = "steps: [{wait: {pv: sim.x, %s, timeout: 1}}]"
    near = having(x=(LONG, 1_999_999_999))
    for condition in ("equals: 2000000000", "in: [1, 2000000000]", "not: 1999999999"):
        assert run(wait % condition, before=near)[0].status is RunStatus.TIMEOUT
    for condition in ("equals: 1999999999", "in: [1, 1999999999]", "not: 2000000000"):
        assert run(wait % condition, before=near)[0].status is RunStatus.SUCCESS


@pytest.mark.parametrize(
    ("metadata", "value", "told"),
    [
        (Metadata(NativeType.DOUBLE), 2**53 + 1, "a DOUBLE can't hold"),
        (FLOAT, 16_777_217, "a FLOAT can't hold"),
        (FLOAT, 1e39, "a FLOAT holds nothing so large"),
        (Metadata(NativeType.CHAR), -1, "a CHAR holds 0 … 255"),
        (Metadata(NativeType.CHAR, 4), [1, -1], "element 1: a CHAR holds 0 … 255"),
        (Metadata(NativeType.DOUBLE, 4), [2**53 + 1], "element 0: a DOUBLE can't hold"),
    ],
)
@pytest.mark.parametrize("given", ["{value}", "=n"])
def test_what_a_channel_can_not_hold_is_not_put(run, metadata, value, told, given):
    shown = repr(value).replace("e+", "e+0") if isinstance(value, float) else value
    put = f"{{set: {{pv: sim.x, value: {given.format(value=shown)}}}}}"
    ended, it = run(f"steps: [{{let: {{n: {shown}}}}}, {put}]", before=having(x=metadata))
    assert ended.status is RunStatus.FAILED
    assert told in ended.message
    assert it.puts("x") == []


def test_a_float_is_put_to_its_limit_and_waited_for(run):
    limited = Metadata(NativeType.FLOAT, control=Limits(-F07, F07))
    ended, it = run(
        "steps: [{set: {pv: sim.x, value: 0.7, readback: sim.x_rbv}}, "
        "{wait: {pv: sim.x_rbv, at_least: 0.7, timeout: 1}}, "
        "{wait: {pv: sim.x_rbv, between: [0.7, 0.7], timeout: 1}}, "
        "{wait: {until: sim.x_rbv >= 0.7 and sim.x_rbv == 0.7 and sim.x_rbv <= 0.7, timeout: 1}}]",
        before=having(x=limited, x_rbv=(FLOAT, F07)),
    )
    assert (ended.status, ended.message) == (RunStatus.SUCCESS, "")
    assert it.puts("x") == [0.7]


def test_a_float_is_not_put_beyond_its_limit(run):
    limited = Metadata(NativeType.FLOAT, control=Limits(-F07, F07))
    for value in (0.7000001, "=0.7 + 0.0000001"):
        ended, it = run(
            f"steps: [{{set: {{pv: sim.x, value: {value}}}}}]", before=having(x=limited)
        )
        assert ended.status is RunStatus.FAILED
        assert it.puts("x") == []


@pytest.mark.parametrize("precision", [-32768, -400, -2, -1, 0, 16, 400, 32767, None])
def test_a_strange_precision_lets_no_wrong_value_pass(run, precision):
    strange = Metadata(NativeType.DOUBLE, precision=precision)
    text = "steps: [{set: {pv: sim.x, value: 5.4, readback: sim.x_rbv, timeout: 1}}]"
    assert run(text, before=stuck("x_rbv", strange, 5.0))[0].status is RunStatus.TIMEOUT
    assert run(text, before=stuck("x_rbv", strange, 5.4))[0].status is RunStatus.SUCCESS


@pytest.mark.parametrize("precision", [1, 3, 15])
def test_a_precision_is_the_rounding_of_a_readback(run, precision):
    rounded = Metadata(NativeType.DOUBLE, precision=precision)
    half = 0.5 * 10.0**-precision
    text = "steps: [{set: {pv: sim.x, value: 0, readback: sim.x_rbv, timeout: 1}}]"
    for off, status in ((0.99, RunStatus.SUCCESS), (1.01, RunStatus.TIMEOUT)):
        ended, _ = run(text, before=stuck("x_rbv", rounded, half * off))
        assert ended.status is status


GAINS = Metadata(NativeType.ENUM, labels=("1", "2", "5", "10"))


@pytest.mark.parametrize(("value", "index"), [("5", 2), ("'5'", 2), ("2", 1), ("=1 + 1", 1)])
def test_a_number_is_the_label_of_that_text(run, value, index):
    ended, it = run(
        f"steps: [{{set: {{pv: sim.x, value: {value}}}}}, "
        f"{{wait: {{pv: sim.x, equals: {value}, timeout: 1}}}}]",
        before=having(x=GAINS),
    )
    assert ended.status is RunStatus.SUCCESS
    assert it.puts("x") == [index]
