"""The code of users: on event loops of its own, ended where a run ends."""
