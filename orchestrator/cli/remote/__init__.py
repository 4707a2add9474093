"""Commands that talk to a running service, and to channels."""
