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


# Names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIM:gate", "SIM:gate.VAL", "ca://SIM:gate.VAL", "SIM:gate.VAL$"])
def test_what_may_not_be_written_may_not_be_by_its_other_name(play, name):
    async def scenario(it):
        it.sim.add("SIM:gate.VAL$")
        await it.pull.idle()
        ended = await it.run(f"steps: [{{set: {{pv: '{name}', value: 1}}}}]")
        return ended.status, ended.message, it.puts("gate")

    status, message, puts = play(scenario)
    assert status is RunStatus.FAILED
    assert "the configuration says write = false" in message
    assert puts == []


@pytest.mark.parametrize("name", ["SIM:y.VAL", "SIM:y"])
def test_what_stops_a_channel_stops_it_by_its_other_name(run, name):
    def never(it):
        it.sim.channels["sim.y"].put_takes = float("inf")

    ended, it = run(f"steps: [{{set: {{pv: '{name}', value: 1, timeout: 1}}}}]", before=never)
    assert ended.status is RunStatus.TIMEOUT
    assert it.puts("stop") == [1.0]


@pytest.mark.parametrize(
    ("one", "other"),
    [("sim.x", "SIM:x.VAL"), ("SIM:x", "SIM:x.VAL"), ("A:B", "A:B.VAL"), ("A:B.VAL", "A:B")],
)
@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (
            "parallel: [{set: {pv: '%s', value: 1}}, {set: {pv: '%s', value: 2}}]",
            "is put by two branches at the same time",
        ),
        (
            "parallel: [{loop: {pv: '%s', values: [1]}, do: [checkpoint]}, "
            "{set: {pv: '%s', value: 2}}]",
            "is put by two branches at the same time",
        ),
        ("set: {all: [{pv: '%s', value: 1}, {pv: '%s', value: 2}]}", "is set twice in one step"),
        ("sample: ['%s', '%s']", "stands twice in one sample"),
    ],
)
def test_a_record_and_its_val_are_one_pv(play, one, other, steps, told):
    async def scenario(it):
        for name in ("A:B", "A:B.VAL"):
            it.sim.add(name)
        await it.pull.idle()
        return await it.run(f"steps: [{{{steps % (one, other)}}}]")

    ended = play(scenario)
    assert ended.status is RunStatus.FAILED
    assert told in ended.message


def test_limits_that_are_for_displays_only_do_not_hold(play):
    shown = Metadata(NativeType.LONG, control=Limits(0, 10))
    text = (
        "steps: [{set: {pv: %s, value: 20}}, {let: {n: 30}}, {set: {pv: %s, value: =n}}, "
        "{loop: {pv: %s, from: 11, to: 12, step: 1}, do: [checkpoint]}]"
    )

    async def scenario(it):
        it.sim.add("sim.x", 0, metadata=shown)
        await it.pull.idle()
        ended = await it.run(text.replace("%s", "sim.x"))
        return ended.status, it.puts("x")

    assert play(scenario, rules={"x": {"limits": False}}) == (RunStatus.SUCCESS, [20, 30, 11, 12])
    assert play(scenario) == (RunStatus.FAILED, [])
