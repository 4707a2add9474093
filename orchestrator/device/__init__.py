"""The heart: examines whatever arrives, and decides what is published and asked of the engine."""

from orchestrator.device.channel_table import ChannelTable
from orchestrator.device.device import Device

__all__ = ["ChannelTable", "Device"]
