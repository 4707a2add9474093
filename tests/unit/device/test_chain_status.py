"""When the IOC of a sequence server is whole: those of the older kind have no INDEX."""

from __future__ import annotations

import pytest

from orchestrator.config import ChainConfig, ChannelConfig, Config
from orchestrator.device import Device
from orchestrator.language.names import ServerChannels
from orchestrator.types import LinkChange, Metadata, NativeType, Update

NAMES = ("s.CMD", "s.ACK", "s.message", "s.values", "s.INDEX")


@pytest.mark.parametrize(
    ("there", "status"),
    [
        (0, None),
        (1, "Partial"),
        (2, "Partial"),
        (3, "Partial"),
        (4, "Connected"),
        (5, "Connected"),
    ],
)
def test_it_is_whole_with_all_but_its_index_and_not_with_less(there: int, status: str) -> None:
    channels = {name: ChannelConfig(name, name.replace(".", ":")) for name in NAMES}
    server = ServerChannels("s", *NAMES)
    device = Device(Config(chain={"s": ChainConfig("s", "s:", channels=channels, server=server)}))
    told = [
        update.value
        for name in NAMES[:there]
        for update in device.examine(LinkChange(name, True, Metadata(NativeType.LONG)))
        if isinstance(update, Update) and update.field == "chain_status"
    ]
    assert (told[-1] if told else None) == status
