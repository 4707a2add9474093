"""What `messenger` starts: reads a message from stdin, and prints who got it as JSON."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any


class _Last(logging.Handler):
    """Remembers why apprise says that a message could not be sent."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def main() -> None:
    """Send, one after the other."""
    import apprise  # an extra, and heavy: only here

    last = _Last()
    logging.getLogger("apprise").addHandler(last)
    asked: dict[str, Any] = json.load(sys.stdin)
    told = []
    for url in asked["urls"]:
        last.text = ""
        receiver = apprise.Apprise.instantiate(url)
        if receiver is None:
            # What apprise says of it has all of it in it, secrets as well.
            to, error = f"{url.partition(':')[0]}://…", "no URL that apprise knows"
            told.append({"to": to, "error": error})
            continue
        is_sent = receiver.notify(body=asked["body"], title=asked["title"])
        error = "" if is_sent else last.text or "it was not taken"
        told.append({"to": str(receiver.url(privacy=True)).partition("?")[0], "error": error})
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
