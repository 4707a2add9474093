"""Tells what it was started with, then echoes its stdin, and ends with the last line's number."""

import json
import os
import signal
import sys

shown = {
    "argv": sys.argv,
    "path": sys.path,
    "cwd": os.getcwd(),
    "env": dict(os.environ),
    "name": __name__,
    "group": os.getpgid(0) == os.getpid(),
    "session": os.getsid(0) == os.getpid(),
    "descriptors": sorted(os.listdir("/proc/self/fd"))[:-1],  # the last is of the listing
    "signals": [str(signal.getsignal(n)) for n in signal.valid_signals()],
    "streams": [
        (s.encoding, s.errors, s.newlines, s.line_buffering, s.write_through, s.isatty())
        for s in (sys.stdin, sys.stdout, sys.stderr)
    ],
}
sys.stdout.write(json.dumps(shown) + "\n")
sys.stdout.flush()
line = "0"
for line in sys.stdin:
    sys.stdout.write(line)
    sys.stdout.flush()
sys.stderr.write("the end\n")
sys.exit(int(line))
