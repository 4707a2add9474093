import sys
import threading
import warnings

from orchestrator.language.expressions.expression_text import parsed


def test_threads_that_parse_at_once_leave_the_filters_of_warnings_alone() -> None:
    """Sequences are loaded in threads. Left at "ignore", the process would warn of nothing any
    more, a verb that was never awaited included."""
    before, interval = list(warnings.filters), sys.getswitchinterval()
    threads = [
        threading.Thread(target=lambda: [parsed("a + 1") for _ in range(2000)]) for _ in range(4)
    ]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        after, warnings.filters[:] = list(warnings.filters), before
    assert after == before
