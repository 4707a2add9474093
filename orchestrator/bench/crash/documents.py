"""Random sequences: all kinds of steps around puts, samples and waits."""

from __future__ import annotations

import random
from typing import Any, TypeAlias

Step: TypeAlias = dict[str, Any]

_DEEP = 3
"""Steps within steps."""
_LIMIT = 10.0
"""The drive limit of `rec.ao`, mm."""
INNER = "inner"
"""The name of the sequence that others run."""


class Documents:
    """Makes one after the other; all of them come to their end within some seconds."""

    def __init__(self, dice: random.Random) -> None:
        """The same dice make the same documents."""
        self._dice = dice

    def document(self, *, inner: bool = False) -> Step:
        """The next one; `inner`: to be run by others."""
        steps = [self._step(0, inner=inner) for _ in range(self._dice.randint(2, 5))]
        return {"steps": steps, "finally": [self._set("rec.ao"), self._set("rec.number")]}

    def _step(self, depth: int, *, inner: bool) -> Step:
        plain = [self._put, self._put, self._sample, self._delay, self._let, self._checkpoint]
        blocks = [self._loop, self._loop, self._group, self._parallel, self._retried]
        kind = self._dice.random()
        if depth >= _DEEP or kind < 0.45:
            return self._dice.choice(plain)()
        if not inner and kind < 0.55:
            return {"run": {"sequence": INNER}}
        return self._dice.choice(blocks)(depth, inner=inner)

    def _several(self, depth: int, most: int, *, inner: bool) -> list[Step]:
        count = self._dice.randint(1, most)
        return [self._step(depth + 1, inner=inner) for _ in range(count)]

    # Those that take no others ------------------------------------------------------------------

    def _put(self) -> Step:
        return self._set(self._dice.choice(["rec.ao", "rec.ao", "rec.number", "rec.slow"]))

    def _set(self, channel: str) -> Step:
        whole = channel == "rec.number"
        value = self._dice.randint(1, 900) if whole else self._dice.randint(1, 9999) / 1000
        fields: Step = {"pv": channel, "value": value, "timeout": 20}
        if channel != "rec.slow" and self._dice.random() < 0.3:
            fields["completion"] = False
        return {"set": fields}

    def _sample(self) -> Step:
        names = ["rec.ao", "rec.number", "rec.ai"]
        return {"sample": self._dice.sample(names, self._dice.randint(1, 3))}

    def _delay(self) -> Step:
        return {"delay": self._dice.choice([0.001, 0.01, 0.05])}

    def _let(self) -> Step:
        return {"let": {f"v{self._dice.randrange(1_000_000)}": "=rec.ao + 1"}}

    def _checkpoint(self) -> Step:
        return {"checkpoint": f"c{self._dice.randrange(100)}"}

    # Those that do ------------------------------------------------------------------------------

    def _loop(self, depth: int, *, inner: bool) -> Step:
        first, last = sorted(self._dice.randint(1, 9999) / 1000 for _ in range(2))
        over = {"pv": "rec.ao", "from": first, "to": last, "num": self._dice.randint(2, 12)}
        steps = self._several(depth, 2, inner=inner)
        return {"loop": over, "do": [self._sample(), *steps]}

    def _group(self, depth: int, *, inner: bool) -> Step:
        return {"group": self._several(depth, 3, inner=inner)}

    def _parallel(self, depth: int, *, inner: bool) -> Step:
        # No two branches put to one channel: a put waits for the one before it.
        del depth, inner
        return {"parallel": [self._set("rec.slow"), self._set("rec.number"), self._sample()]}

    def _retried(self, depth: int, *, inner: bool) -> Step:
        del depth, inner
        never = {"wait": {"pv": "rec.ai", "above": 1e6, "timeout": 0.02}}
        handler = self._dice.choice(["continue", [self._put(), self._sample()]])
        return {
            "group": [
                {**never, "on_error": {"retry": 2, "delay": 0.01}},
            ],
            "on_error": handler,
        }
