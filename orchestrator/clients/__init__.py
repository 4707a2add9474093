"""For programs that drive a service from outside.

`orchestrator.clients.rest` is its HTTP; it needs httpx, and nothing that the service itself needs.
"""
