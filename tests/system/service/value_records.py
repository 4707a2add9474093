"""A C IOC whose records hold what sequences get wrong easily: bounds, deadbands, dead links."""

from __future__ import annotations

import sys

from sim_iocs import records

records.DATABASE += """
record(longout, "$(P)Long") { field(PINI, "YES") field(LOPR, "0") field(HOPR, "10") }
record(longin, "$(P)LongStuck") { field(VAL, "2000000000") field(PINI, "YES") }
record(int64out, "$(P)Int64") { field(PINI, "YES") }
record(ao, "$(P)Ao7") { field(PINI, "YES") field(DRVL, "-0.7") field(DRVH, "0.7") }
record(ai, "$(P)Prec") { field(VAL, "5") field(PREC, "-2") field(PINI, "YES") }
record(ao, "$(P)Dead") { field(PINI, "YES") field(OUT, "$(P)No:Such:Record CA") }
record(aao, "$(P)Float") { field(FTVL, "FLOAT") field(NELM, "4") field(PINI, "YES") }
record(waveform, "$(P)One") { field(FTVL, "FLOAT") field(NELM, "1") }
record(waveform, "$(P)Bytes") { field(FTVL, "UCHAR") field(NELM, "4") }
record(mbbo, "$(P)Gain") {
  field(PINI, "YES") field(ZRST, "1") field(ONST, "2") field(TWST, "5") field(THST, "10")
  field(ZRVL, "0") field(ONVL, "1") field(TWVL, "2") field(THVL, "3")
}
record(ao, "$(P)Set") { field(PINI, "YES") field(FLNK, "$(P)Quiet") }
record(calc, "$(P)Quiet") { field(INPA, "$(P)Set NPP NMS") field(CALC, "A") field(MDEL, "0.1") }
record(calcout, "$(P)Later") {
  field(INPA, "$(P)Set NPP NMS") field(CALC, "A") field(ODLY, "0.5") field(OUT, "$(P)Drift PP")
}
record(ao, "$(P)Lag") { field(PINI, "YES") field(FLNK, "$(P)Later") }
record(ao, "$(P)Drift") { field(PINI, "YES") field(MDEL, "0.1") }
record(ao, "$(P)Drifting") { field(PINI, "YES") field(OUT, "$(P)Set PP") field(FLNK, "$(P)Later") }
"""

if __name__ == "__main__":
    sys.exit(records.main())
