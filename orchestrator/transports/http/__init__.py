"""HTTP, as far as the service is concerned: a process of its own serves it, by a local socket.

What that process does is `orchestrator.web`.
"""

from orchestrator.transports.http.http_process import HttpProcess
from orchestrator.transports.http.link import Behind

__all__ = ["Behind", "HttpProcess"]
