"""The PVs of a service for programs that watch them: an alarm server, an archiver."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as Xml

from orchestrator.config import Config
from orchestrator.types import MAIN_LANE, fields

_ALARMS = {
    fields.MESSAGE: "What was told last",
    fields.STATUS: "How the last run ended",
    fields.HUNG_SEC: "Time since anything moved",
}
"""Of each lane; what each says."""
_ARCHIVED = (
    *(fields.STATE, fields.STATUS, fields.RUN_ID, fields.RUN_NAME, fields.BUSY, fields.MESSAGE),
    *(fields.PROGRESS, fields.HUNG_SEC, fields.DATA_NPTS, fields.DATA_FILE),
)
_ARCHIVED_ONCE = (fields.QUEUE_LEN, fields.CHAIN_CONNECTED, fields.CHAIN_DISCONNECTED)


def alarms(config: Config) -> str:
    """The configuration of an alarm server of Phoebus: a tree in XML, its root as the prefix."""
    root = Xml.Element("config", name=config.prefix.rstrip(":").replace("/", "_") or "Orchestrator")
    for lane in ("", *config.lanes):
        component = Xml.SubElement(root, "component", name=lane or MAIN_LANE)
        for field, text in _ALARMS.items():
            _watched(component, config.prefix + field.pv(lane=lane), text)
    chain = Xml.SubElement(root, "component", name="IOCs")
    for ioc in config.chain:
        _watched(chain, config.prefix + fields.CHAIN_STATUS.pv(ioc), f"Channels of {ioc}")
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(root, encoding="unicode")}\n'


def _watched(component: Xml.Element, pv: str, text: str) -> None:
    one = Xml.SubElement(component, "pv", name=pv)
    for name, told in (("description", text), ("enabled", "true"), ("latching", "true")):
        Xml.SubElement(one, name).text = told


def archive(config: Config) -> str:
    """PVs for an archiver, a line each: what runs did, and the channels that are mirrored."""
    return "".join(f"{pv}\n" for pv in _archived(config))


def _archived(config: Config) -> Iterator[str]:
    for lane in ("", *config.lanes):
        yield from (config.prefix + field.pv(lane=lane) for field in _ARCHIVED)
    yield from (config.prefix + field.pv() for field in _ARCHIVED_ONCE)
    yield from (config.prefix + fields.CHAIN_STATUS.pv(ioc) for ioc in config.chain)
    for name, channel in config.remote_channels.items():
        if channel.mirror:
            yield config.prefix + fields.MON.pv(name)
