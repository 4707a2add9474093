"""The service's own PVs: puts go out as commands, updates come in from the push queue."""

from orchestrator import ioc as ioc  # first: caproto reads its settings when it is imported
from orchestrator.transports.ca.reference import ReferenceRow, pv_names, reference
from orchestrator.transports.ca.server import Server

__all__ = ["ReferenceRow", "Server", "pv_names", "reference"]
