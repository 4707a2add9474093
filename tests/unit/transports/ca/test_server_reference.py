import numpy as np

from orchestrator.api import EVENTS, Api
from orchestrator.config import ChainConfig, ChannelConfig, Config, LaneConfig
from orchestrator.queues import request_queue
from orchestrator.transports.ca import pv_names, reference
from orchestrator.transports.ca.requests import Requests
from orchestrator.transports.ca.table import PVTable
from orchestrator.types import Limits, NativeType, fields


def test_every_pv_has_words_and_what_is_measured_has_units() -> None:
    rows = [row for row in reference() if not row.name.startswith("STATS:")]
    assert [row.name for row in rows if len(row.doc) < 5] == []
    units = {row.name: row.units for row in rows}
    assert [units[name] for name in ("ELAPSED", "REMAINING", "HUNG_SEC", "LOOP_LAG")] == ["s"] * 4
    assert (units["PROGRESS"], units["PULL:RATE"]) == ("%", "1/s")


def test_the_reference_names_what_belongs_to_any_ioc_and_channel() -> None:
    types = {row.name: row.type for row in reference()}
    assert types["MON:{ioc}:{channel}"] == "as the channel"
    assert types["CHAIN:{ioc}:STATUS"] == "enum (Disconnected, Partial, Connected)"
    assert types["CMD"] == "long string (65536)"


def test_what_is_served_is_what_the_catalogue_says() -> None:
    """Type, unit, words, limits and first value of every field, as clients read them."""
    channels = {"s.x": ChannelConfig("s.x", "X", buffer=7)}
    api = Api(request_queue())
    chain, lanes = {"s": ChainConfig("s", "", channels=channels)}, {"n": LaneConfig("n")}
    config = Config(prefix="", chain=chain, lanes=lanes)
    pvdb = PVTable(config, Requests(api, api.subscribe(EVENTS))).pvdb
    for field in fields.ALL:
        if field in (fields.MON, fields.OWN) or field.is_automatic:
            continue  # comes with its channel, is as configured, or only where there is one
        key = "s" if field.is_of_ioc else "s.x" if field.is_of_channel else ""
        lane = "n" if field == fields.RESTARTS else ""  # the main lane has none
        pv, known = pvdb[field.pv(key, lane)], field.metadata
        most = 7 if field == fields.MON_BUF else known.count
        assert (pv.data_type.name, pv.max_length) == (known.native.name, most), field
        assert pv.__doc__ == field.meaning
        assert np.array_equal(pv.value, field.first, equal_nan=not known.text and not known.labels)
        if known.labels:
            assert pv.enum_strings == known.labels
        elif not known.text:
            assert pv.units == known.units
            assert (pv.lower_ctrl_limit, pv.upper_ctrl_limit) == limits(known.control)
            assert (pv.lower_disp_limit, pv.upper_disp_limit) == limits(known.display)
        if known.precision is not None:
            assert pv.precision == known.precision


def limits(known: Limits) -> tuple[float, float]:
    return known.low, known.high


def test_names_that_are_known_before_a_channel_connects_have_no_mirror_of_unknown_type() -> None:
    channels = {
        "s.a": ChannelConfig("s.a", "A", buffer=5),
        "s.b.c": ChannelConfig("s.b.c", "B", type=NativeType.LONG),
        "s.d": ChannelConfig("s.d", "D", mirror=False, type=NativeType.LONG),
    }
    names = pv_names(Config(prefix="P:", chain={"s": ChainConfig("s", "", channels=channels)}))
    assert [name for name in names if name.startswith(("P:MON", "P:DATA:s", "P:CHAIN:s"))] == [
        "P:CHAIN:s:STATUS",
        "P:CHAIN:s:RECONNECTS",
        "P:MON:s:a:BUF",
        "P:MON:s:a:MEAN",
        "P:MON:s:a:STD",
        "P:MON:s:a:RATE",
        "P:DATA:s:a",
        "P:MON:s:b:c",
        "P:DATA:s:b:c",
        "P:DATA:s:d",
    ]


def test_what_later_issues_bring_is_not_shown() -> None:
    text = "\n".join(
        f"{row.name} {row.type} {row.doc}"
        for row in reference()
        if row.name != "STATS:SUSP_TASK_CNT"
    )
    assert "SYSRESET" not in text
