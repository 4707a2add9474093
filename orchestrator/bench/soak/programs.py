"""What a soak runs: sequences of every kind, each of which ends in a few seconds if left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import indent

_END = """finally:
  - set: {pv: shutter.state, value: Closed}
  - set: {pv: w.finals, value: "=w.finals + 1"}
"""


@dataclass(frozen=True, slots=True)
class Program:
    """One sequence; documents get a last step and finalisers that the witness counts."""

    steps: str = ""
    head: str = ""
    """Other fields of the document."""
    python: str = ""
    """In place of a document: a sequence of `soak_plans`."""
    rows: int = 0
    """That it has taken when it has succeeded and nothing was skipped."""

    def document(self) -> str:
        """Its text."""
        steps = indent(self.steps.strip(), "  ")
        return f"{self.head}steps:\n{steps}\n  - set: {{pv: w.passed, value: 1}}\n{_END}"


INNER = "soak_inner"
"""The name of the document that another one runs."""
INNER_DOCUMENT = """parameters:
  to: {default: 0.2}
steps:
  - set: {pv: stage.y, value: $(to), readback: stage.y_rbv, timeout: 8}
  - sample: [stage.y_rbv]
finally:
  - set: {pv: rec.ao, value: 0}
"""

PROGRAMS: Mapping[str, Program] = {
    "scan": Program(
        """
- set: {pv: shutter.state, value: Open, readback: shutter.state_rbv, timeout: 8}
- loop: {pv: stage.x, from: 0, to: 0.5, num: 6, readback: stage.x_rbv, timeout: 8}
  do:
    - sample: [stage.x_rbv, rec.calc]
""",
        rows=6,
    ),
    "raster": Program(
        """
- loop: {pv: stage.y, values: [0.1, 0.2], timeout: 8}
  do:
    - loop: {pv: stage.x, from: 0, to: 0.2, num: 3, serpentine: true, timeout: 8}
      do:
        - sample: [stage.x_rbv, stage.y_rbv]
""",
        rows=6,
    ),
    "parallel": Program(
        """
- parallel:
    - loop: {pv: rec.ao, from: 0, to: 5, num: 6}
      do: [{sample: [rec.ao, rec.calc]}]
    - set: {pv: stage.x, value: 0.6, readback: stage.x_rbv, timeout: 8}
    - group: [{delay: 0.5}, {set: {pv: shutter.state, value: Open}}]
""",
        rows=6,
    ),
    "retry": Program(
        """
- group:
    - set: {pv: rec.ao, value: "=rec.ao + 1"}
    - sample: [rec.ao]
    - wait: {pv: rec.calc, above: 6.5, timeout: 0.3}
  on_error: {retry: 5, delay: 0.1}
""",
        head="restore: [rec.ao]\n",
    ),
    "sub": Program(
        f"""
- loop: {{count: 3, as: i}}
  do:
    - run: {{sequence: {INNER}, args: {{to: "=0.1 * (i + 1)"}}}}
""",
        rows=3,
    ),
    "wait": Program(
        """
- parallel:
    - wait: {until: "stage.x_rbv > 0.25 and rec.calc > 0", timeout: 8}
    - set: {pv: stage.x, value: 0.4, timeout: 8}
    - delay: 1
- race:
    - wait: {pv: stage.x_rbv, below: -5, timeout: 20}
    - delay: 0.3
"""
    ),
    "endless": Program(
        """
- loop: {while: "true"}
  do:
    - set: {pv: rec.ao, value: "=(rec.ao + 1) % 8"}
    - delay: 0.02
  timeout: 3
  on_error: continue
"""
    ),
    "refused": Program(
        """
- set: {pv: stage.x, value: "=1000 + rec.ao"}
  on_error: {limits: [{sample: [stage.x_rbv]}]}
""",
        rows=1,
    ),
    "python_scan": Program(python="soak_scan", rows=6),
    "python_parallel": Program(python="soak_parallel", rows=4),
    "python_machine": Program(python="soak_machine"),
}
