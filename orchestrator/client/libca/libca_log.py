"""What libca would print by itself goes to the log instead.

It has three ways to print: an exception handler, a printf handler, and errlog of libCom, whose
console is turned off. All are called in threads of libca, with its locks held: they only hand a
text over to the event loop.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from epicscorelibs.ca import cadef

from orchestrator.startup.libca import library

log = structlog.get_logger(__name__)

_OP_PUT = 1  # CA_OP_PUT of cadef.h
_DOUBLED = 25 << 3  # ECA_DBLCHNL of caerr.h
_PLACES = re.compile(r'Channel: "([^"]*)", Connecting to: ([^,]*), Ignored: (.*)')  # cac.cpp
_LONGEST = 2048

_PrintfHandler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_ErrlogListener = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
_libcom = ctypes.CDLL(library("Com"))
_vsnprintf = ctypes.CDLL(None).vsnprintf
# A va_list crosses as a pointer: that is how the calling conventions of x86-64 and AArch64 pass it.
_vsnprintf.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]

_loop: asyncio.AbstractEventLoop | None = None
"""Whose logs; one for the process, as libca has one pair of handlers."""
doubled: dict[str, tuple[str, ...]] = {}
"""PVs that a second server answered for: all that did, the one that was taken first."""
_refused: dict[str, str] | None = None
"""Who wants to know of refused puts: why, by PV; None = the log."""


@contextmanager
def refusals() -> Iterator[Mapping[str, str]]:
    """Gather the puts without callback that servers refuse, instead of logging them: why, by PV."""
    global _refused
    found: dict[str, str] = {}
    _refused = found
    try:
        yield found
    finally:
        _refused = None


def silence() -> None:
    """Replace libca's exception and printf handlers; the loop that runs now does the logging.

    libca's context must exist and be this thread's: asked without one, libca makes a context that
    never calls back on its own.
    """
    global _loop
    _loop = asyncio.get_running_loop()
    cadef.ca_add_exception_event(_exception_handler, None)
    cadef.libca.ca_replace_printf_handler(_printf_handler)
    _silence_errlog()


@functools.cache
def _silence_errlog() -> None:
    _libcom.eltc(0)  # to console: errlog.h
    _libcom.errlogAddListener(_errlog_listener, None)
    # Its thread outlives the interpreter.
    atexit.register(_libcom.errlogRemoveListeners, _errlog_listener, None)


@_ErrlogListener  # type: ignore[untyped-decorator]  # ctypes makes it
def _errlog_listener(_private: int, message: bytes) -> None:
    _hand_over(_report_print, message.decode("utf-8", "replace").rstrip())


def _hand_over(report: Callable[..., None], *details: Any) -> None:
    if _loop is not None and not _loop.is_closed():
        with suppress(RuntimeError):  # closed since: nobody is left to tell
            _loop.call_soon_threadsafe(report, *details)


@cadef.exception_handler  # type: ignore[untyped-decorator]  # epicscorelibs has no types
def _exception_handler(args: Any) -> None:
    message = cadef.ca_message(args.stat)
    context = (args.ctx or b"").decode("utf-8", "replace")
    if args.stat == _DOUBLED:
        _hand_over(_report_doubled, context)
    elif args.op == _OP_PUT and args.chid:
        _hand_over(_report_refusal, cadef.ca_name(args.chid), message, context)
    else:
        _hand_over(_report_exception, message, context)


def _report_doubled(context: str) -> None:
    log.warning("Two servers have a PV of the same name; which one is meant?", context=context)
    if found := _PLACES.search(context):
        pv, *servers = found.groups()
        doubled[pv] = tuple(dict.fromkeys((*doubled.get(pv, ()), *servers)))


def _report_refusal(pv: str, message: str, context: str) -> None:
    """The only word on a put without callback that the server refused."""
    if _refused is not None:
        _refused[pv] = f"{message} ({context})" if context else message
    else:
        log.warning("A put without callback failed", pv=pv, reason=message, context=context)


def _report_exception(message: str, context: str) -> None:
    log.debug("libca reports", reason=message, context=context)


@_PrintfHandler  # type: ignore[untyped-decorator]  # ctypes makes it
def _printf_handler(template: bytes, arguments: int) -> int:
    buffer = ctypes.create_string_buffer(_LONGEST)
    length: int = _vsnprintf(buffer, _LONGEST, template, arguments)
    _hand_over(_report_print, buffer.value.decode("utf-8", "replace").rstrip())
    return length


def _report_print(text: str) -> None:
    if text:
        log.debug("libca prints", text=text)
