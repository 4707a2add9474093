"""For tests of sequences: the steady fleet, an IOC of the tests' own, and one to be killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service_rig import Rig, rig_of

from sim_iocs.testing import Fleet, Member, SimIoc

IOC = Path(__file__).with_name("language_ioc.py")
PLANS = Path(__file__).with_name("language_plans.py")

OWN = ("own", "victim")
HEAD = f'sequences.python = ["{PLANS.stem}"]'

_PULSES = """
[chain.pulses]
prefix = "SIM:REC:"
channels.busy = { pv = "Slow:Busy", keep_all = true }
"""

_OWN = """
[chain.%s]
prefix = "%s"
address = "%s"
channels.trigger = "Trigger"
channels.pulse = { pv = "Pulse", keep_all = true }
channels.merged = { pv = "Merged", buffer = 1000 }
channels.kept = { pv = "Kept", buffer = 1000, keep_all = true }
channels.slow = "Slow"
channels.slow_done = "Slow:Done"
channels.slow_begun = "Slow:Begun"
channels.held = "Held"
channels.other = "Other"
channels.picky = "Picky"
channels.beam = "Beam"
"""


@dataclass
class LanguageRig:
    """The rig, and the two IOCs."""

    rig: Rig
    own: SimIoc
    victim: SimIoc


@contextmanager
def language_rig_of(fleet: Fleet, directory: Path) -> Iterator[LanguageRig]:
    """A service that chains `own` and `victim` besides the fleet; all connected."""
    directory.mkdir()
    shutil.copy(PLANS, directory)
    members = (Member(name=name, prefix=f"{name.upper()}:", script=IOC) for name in OWN)
    with Fleet(members) as ours:
        own, victim = ours["own"], ours["victim"]
        chains = [_OWN % (ioc.name, ioc.prefix, ioc.address) for ioc in ours]
        with rig_of(
            fleet,
            directory,
            "".join([*chains, _PULSES]),
            head=HEAD,
            others=[own.address, victim.address],
        ) as rig:
            for name in ("stage", "rec", "pulses", "own", "victim"):
                rig.until(f"CHAIN:{name}:STATUS", "Connected")
            yield LanguageRig(rig, own, victim)
