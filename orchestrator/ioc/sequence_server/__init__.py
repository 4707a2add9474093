"""A sequence server as part of any caproto IOC, and the system that it moves."""
