"""A function that clients call: they write its parameters, process it, and read what it returned.

Prefix `SIM:RPC:`:

| PV            | type   | unit | meaning                                                        |
| ------------- | ------ | ---- | -------------------------------------------------------------- |
| Bragg:energy  | double |      | Parameter: of the photons, keV.                                |
| Bragg:spacing | double |      | Parameter: of the lattice planes, Angstrom; at first that of   |
|               |        |      | silicon (111).                                                 |
| Bragg:order   | int    |      | Parameter: of the reflection.                                  |
| Bragg:Process | int    |      | A put calls it. A put-callback completes when it has returned, |
|               |        |      | and fails if it has raised.                                    |
| Bragg:Status  | text   |      | Init, Success, or what it has raised.                          |
| Bragg:Retval  | double |      | The Bragg angle in degrees; MAJOR while the last call failed.  |

Two clients that call it at the same time may read each other's parameters: take turns, as with
any function behind PVs.
"""

# No `from __future__ import annotations` here: caproto reads the types of parameters and result
# from the annotations themselves, and text is no type.
# mypy: disable-error-code="untyped-decorator"

import inspect
import math
import sys
from collections.abc import Sequence
from typing import Any

from orchestrator.ioc import TextRO
from sim_iocs.base import SimGroup, run_sim  # first: it sets caproto up

# isort: split
from caproto.server import pvfunction

HC = 12.398_419_84
"""Planck's constant times the speed of light, in keV Angstrom (CODATA 2018)."""

SILICON_111 = 3.135_60
"""Its lattice planes' distance in Angstrom (a / √3 with a = 5.431 02 Angstrom, CODATA 2018)."""


def bragg_angle(energy: float, spacing: float, order: int) -> float:
    """The angle in degrees at which lattice planes reflect photons (Bragg's law).

    Raises:
        ValueError: a parameter makes no sense, or there is no such reflection.
    """
    if not (0 < energy < math.inf and 0 < spacing < math.inf and order > 0):
        raise ValueError(f"energy {energy:g}, spacing {spacing:g}, order {order}: not above 0")
    sine = order * HC / energy / (2 * spacing)
    if sine > 1:
        least = order * HC / (2 * spacing)
        raise ValueError(f"no reflection at {energy:g} keV, only from {least:.4g} keV on")
    return math.degrees(math.asin(sine))


class Function(pvfunction):  # type: ignore[misc] # caproto is untyped
    """caproto's, but with a Status of more than the one character that clients are given of it."""

    def pvspec_from_parameter(self, param: inspect.Parameter, doc: str | None = None) -> Any:
        """The PV of a parameter, or of what the function tells; called by caproto."""
        spec = super().pvspec_from_parameter(param, doc)
        if param.name != "status":
            return spec
        return spec._replace(dtype=TextRO, value="Init", max_length=500)


class RpcIOC(SimGroup):
    """One function."""

    @Function(default=0.0, prefix="Bragg:")
    async def bragg(
        self, energy: float = 8.0, spacing: float = SILICON_111, order: int = 1
    ) -> float:
        """The Bragg angle in degrees."""
        return bragg_angle(energy, spacing, order)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(RpcIOC, argv, default_prefix="SIM:RPC:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
