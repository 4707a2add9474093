"""What a step, an update and a channel cost, beside the bare libraries and the peers.

Each measured program is a process of its own (`bench.programs`), asked for one measurement at a
time, so that the contestants of a row take turns within one run; `bench.rows` is the table.
"""

from orchestrator.bench.cost_table import measure
from orchestrator.bench.figures import Figure, RowResult
from orchestrator.bench.rows import ROWS, Row, choose

__all__ = ["ROWS", "Figure", "Row", "RowResult", "choose", "measure"]
