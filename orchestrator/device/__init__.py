"""The heart: examines whatever arrives, and decides what is published and asked of the engine."""

from orchestrator.device.device import Device
from orchestrator.device.world import World

__all__ = ["Device", "World"]
