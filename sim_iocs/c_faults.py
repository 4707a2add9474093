"""Faults of a C IOC, by EPICS's own means: access security, and severities that links hand on.

(EPICS application developer's guide: access security, `asInit`; record reference: SDIS, link
modifier MSS.)
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.faults import Clear, Delay, Fault, ForceAlarm, RefuseWrites, hint
from orchestrator.types import Severity

LENDERS = "".join(
    f"""
record(bo, "$(P)Fault:{severity}") {{
  field(DESC, "lends its severity")  field(VAL, "0")  field(PINI, "YES")
  field(ZSV, "{severity}")  field(OSV, "{severity}")
}}"""
    for severity in ("MINOR", "MAJOR", "INVALID")
)
"""Records that are always in alarm. The value is 0, which as SDIS disables no record."""

_OPEN = "ASG(DEFAULT) { RULE(1, READ) RULE(1, WRITE) }\n"
_CLOSED = "ASG(DEFAULT) { RULE(1, READ) }\n"
_DBR_STRING = 0
_MORE_THAN_A_DBADDR = 512
"""Bytes; dbAddr.h's struct takes less than 100."""


class CFaults:
    """The faults of the C IOC of this process; to be made before its iocInit."""

    def __init__(self, prefix: str, names: Sequence[str]) -> None:
        """Turn access security on, which is only possible before iocInit.

        Args:
            prefix: Of the record names, that of `LENDERS` too.
            names: The records, without the prefix.
        """
        from epicscorelibs.ioc import dbCore

        self._base = dbCore
        self._prefix = prefix
        self._names = [prefix + name for name in names]
        self._forced: set[str] = set()
        self._folder = tempfile.TemporaryDirectory()
        self._rules = Path(self._folder.name) / "access.acf"
        self._rules.write_text(_OPEN)
        self._base.asSetFilename(str(self._rules).encode())

    def obey(self, fault: Fault) -> None:
        """Have it from now on, or no more.

        Raises:
            InputError: There is no such PV, or a C IOC can't do it.
        """
        match fault:
            case Delay():
                raise InputError(
                    "a C IOC's server sends whenever it wants: freeze the process instead, "
                    "or take an IOC of the kit"
                )
            case RefuseWrites(on):
                self._rule(_CLOSED if on else _OPEN)
            case ForceAlarm(pv, severity):
                self._force(self._record(pv), severity)
            case Clear():
                self._rule(_OPEN)
                for record in sorted(self._forced):
                    self._force(record, Severity.NO_ALARM)

    def _rule(self, rules: str) -> None:
        """Put other rules in force: asInit reads the file again and tells all clients."""
        if self._rules.read_text() != rules:
            self._rules.write_text(rules)
            if self._base.asInit():
                raise InputError(f"access security refused {rules!r}")

    def _record(self, pv: str) -> str:
        record = pv.removesuffix(".VAL")
        if record not in self._names:
            raise InputError(f"no PV {pv}{hint(pv, self._names)}")
        return record

    def _force(self, record: str, severity: Severity) -> None:
        """Let the record inherit a severity each time it is processed, and process it."""
        if severity:
            self._forced.add(record)
            self._put(f"{record}.SDIS", f"{self._prefix}Fault:{severity.name} NPP MSS")
        else:
            self._forced.discard(record)
            self._put(f"{record}.SDIS", "")
        self._put(f"{record}.PROC", "1")

    def _put(self, field: str, text: str) -> None:
        address = ctypes.create_string_buffer(_MORE_THAN_A_DBADDR)
        value = ctypes.create_string_buffer(text.encode())
        status = self._base.dbNameToAddr(field.encode(), address)
        if status or (status := self._base.dbPutField(address, _DBR_STRING, value, 1)):
            raise InputError(f"{field} does not take {text!r} (status {status})")
