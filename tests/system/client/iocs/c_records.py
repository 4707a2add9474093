"""An IOC with C records, for the client's tests.

As variant `other`, X is a string, COUNT an integer, and WAVE has another length.
"""

import sys
import tempfile
from pathlib import Path

from options import OPTIONS, READY, VARIANT  # first: it says where

# isort: split
from softioc import asyncio_dispatcher, builder, imports, softioc

ACCESS = """
ASG(DEFAULT) {{ RULE(1, READ) RULE(1, WRITE) }}
ASG(RO) {{ RULE(1, READ) }}
ASG(HIDDEN) {{ RULE(1, NONE) }}
ASG(GATED) {{ INPA("{prefix}GATE") RULE(1, READ) RULE(1, WRITE) {{ CALC("A=1") }} }}
ASG(VEILED) {{ INPA("{prefix}VEIL") RULE(1, READ) {{ CALC("A=0") }} }}
"""

UNUSUAL = """
record(mbbi, "{prefix}VALVE") {{
  field(ONVL, "1") field(ONST, "Open") field(TWVL, "2") field(TWST, "Closed")
}}
record(mbbo, "{prefix}FILTER") {{ field(ZRST, "10 µm") field(ONST, "20 µm") field(PINI, "YES") }}
record(ai, "{prefix}DEGREES") {{ field(EGU, "°C") field(VAL, "20") field(PINI, "YES") }}
record(stringout, "{prefix}LATIN") {{ field(VAL, "20 °C") field(PINI, "YES") }}
record(stringin, "{prefix}NEVER") {{ }}
record(lso, "{prefix}LSO") {{ field(SIZV, "60") }}
record(lsi, "{prefix}LSI") {{ field(SIZV, "60") }}
record(waveform, "{prefix}ONE_TEXT") {{ field(FTVL, "STRING") field(NELM, "1") }}
record(waveform, "{prefix}ONE") {{ field(FTVL, "DOUBLE") field(NELM, "1") }}
record(waveform, "{prefix}LETTER") {{ field(FTVL, "CHAR") field(NELM, "1") }}
record(waveform, "{prefix}FULL") {{ field(FTVL, "CHAR") field(NELM, "10") }}
"""
"""In Latin-1, as EPICS databases of old are."""


def load_unusual(prefix: str, folder: Path) -> None:
    database = folder / "unusual.db"
    database.write_text(UNUSUAL.format(prefix=prefix), encoding="latin-1")
    softioc.dbLoadDatabase(str(database))


def make_records(variant: str) -> None:
    records = builder.records
    if variant == "other":
        records.stringout("X", VAL="text now", PINI="YES")
        records.longout("COUNT", VAL=12, PINI="YES")
    else:
        alarms = {"HIHI": 90, "HHSV": "MAJOR", "HIGH": 50, "HSV": "MINOR"}
        limits = {"DRVL": -100, "DRVH": 100, "LOPR": -20, "HOPR": 20}
        records.ao("COUNT", VAL=1.5, PINI="YES")
        records.ao("X", VAL=1.5, EGU="mm", PREC=3, PINI="YES", MDEL=-1, **limits, **alarms)
    records.ao("Y", VAL=0, PINI="YES")
    records.longout("N", VAL=7, PINI="YES")
    records.longout("GATE", VAL=1, PINI="YES")
    records.longout("VEIL", VAL=0, PINI="YES")
    records.ao("RO", VAL=2, PINI="YES", ASG="RO")
    records.ao("HIDDEN", VAL=2, PINI="YES", ASG="HIDDEN")
    records.ao("GATED", VAL=3, PINI="YES", ASG="GATED")
    records.ao("VEILED", VAL=4, PINI="YES", ASG="VEILED")
    records.mbbo("MODE", VAL=1, PINI="YES", ZRST="Off", ONST="Slow", TWST="Fast")
    records.stringout("NAME", VAL="café", PINI="YES")
    records.waveform("TEXT", FTVL="CHAR", NELM=400)
    records.waveform("BYTES", FTVL="CHAR", NELM=8)
    records.waveform("EMPTY", FTVL="DOUBLE", NELM=10)
    records.waveform("STRINGS", FTVL="STRING", NELM=4)
    records.waveform("SHORTS", FTVL="SHORT", NELM=10)
    records.waveform("WAVE", FTVL="DOUBLE", NELM=500 if variant == "other" else 1000)
    records.waveform("BIG", FTVL="DOUBLE", NELM=1_000_000)
    # A put-callback to SLOW.A completes ODLY later.
    records.calcout("SLOW", CALC="A", ODLY=0.3, OUT=f"{OPTIONS.prefix}DONE PP")
    records.ao("DONE", VAL=0, PINI="YES")
    records.ao("FRAIL", VAL=0, PINI="YES", HIGH=1, HSV="INVALID")


def main() -> None:
    prefix = OPTIONS.prefix
    builder.SetDeviceName(prefix.removesuffix(":"))
    make_records(VARIANT)
    builder.LoadDatabase()
    with tempfile.TemporaryDirectory() as directory:
        access = Path(directory) / "access.acf"
        access.write_text(ACCESS.format(prefix=prefix))
        load_unusual(prefix, Path(directory))
        imports.dbCore.asSetFilename(str(access).encode())
        softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher(), enable_pva=False)
    print(READY, flush=True)  # noqa: T201 - the test waits for it
    sys.stdin.read()  # until the test ends


main()
