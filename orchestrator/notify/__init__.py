"""Tells people who do not look: a message by whatever service reaches them (apprise).

```
 Api ──events, fields──▶ Watch ──Notice──▶ Notifier ──a process a message──▶ mail, chat, telephone
```
"""

from orchestrator.notify.messenger import Sent, send
from orchestrator.notify.notifier import Notifier, look_for_the_extra

__all__ = ["Notifier", "Sent", "look_for_the_extra", "send"]
