"""libca itself: its threads, subscriptions, types, errors and environment, and how it is left."""
