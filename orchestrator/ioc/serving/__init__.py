"""Serving PVs: being found, circuits, subscriptions and their updates, and limits of clients."""
