"""The health PVs by caproto's helper."""

from types import SimpleNamespace

from caproto.server import stats

from orchestrator.transports.ca.stats import Stats


def test_they_have_no_fields_of_records_and_caproto_s_own_still_do() -> None:
    ours = Stats("S:", root=SimpleNamespace(pvdb={}))
    theirs = stats.BasicStatusHelper("T:")
    assert all(pv.field_inst is None for pv in ours.pvdb.values())
    assert all(pv.field_inst is not None for pv in theirs.pvdb.values())


def test_no_client_can_end_us_by_one() -> None:
    assert "S:SYSRESET" not in Stats("S:", root=SimpleNamespace(pvdb={})).pvdb
