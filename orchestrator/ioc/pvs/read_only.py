"""Who may write."""

from __future__ import annotations

import caproto as ca


class ReadOnly:
    """Mixed in before a channel class: clients can read it only, and are told so at once."""

    def check_access(self, host: str | None, user: str | None) -> ca.AccessRights:
        """Called by caproto with what the client claims to be."""
        del host, user
        return ca.AccessRights.READ
