"""The service's own PVs: channels whose values live in this process."""

from orchestrator.own_pvs.kept_values import KeptValues, own_file
from orchestrator.own_pvs.own_channels import OwnChannels, RoutedChannels

__all__ = ["KeptValues", "OwnChannels", "RoutedChannels", "own_file"]
