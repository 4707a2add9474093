"""Past runs: found by what a user says, and what was kept of each."""

from orchestrator.data.past.account import Account, StepDone, account_of
from orchestrator.data.past.finder import PastRun, PastRuns, Wanted

__all__ = ["Account", "PastRun", "PastRuns", "StepDone", "Wanted", "account_of"]
