"""Clients that are not in their right mind, and what they do to a server."""
