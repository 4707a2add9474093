"""The servers behind the channels: those that come back, and those that libca ignores."""
