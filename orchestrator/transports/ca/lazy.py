"""PVs of which some are made when somebody first asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class LazyPVs(dict[str, Any]):
    """PVs by name, or name and `.VAL`.

    One that is made `later` has its name, and a place, from the start:
    `values` and `items` give None for it until somebody has asked, so that caproto, which looks
    through them for hooks, makes none of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._makers: dict[str, Callable[[], Any]] = {}

    def later(self, name: str, make: Callable[[], Any]) -> None:
        """Serve what `make` gives as `name`; it is called when a client or an update needs it."""
        self._makers[name] = make
        self[name] = None

    def made(self, name: str) -> Any:
        """The PV of this name; None if there is none, or nobody has asked for it yet."""
        return super().get(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The PV of this name."""
        return self[name] if name in self else default  # noqa: SIM401 - this is what it would call

    def __getitem__(self, name: str) -> Any:
        channel = super().__getitem__(name)
        if channel is None:
            channel = self[name] = self._makers.pop(name)()
        return channel

    def __missing__(self, name: str) -> Any:
        # Here and not by caproto's `get_field`: what that gives is kept by the name with its field,
        # also when the PV has been replaced.
        record = name.removesuffix(".VAL")
        if record == name or record not in self:
            raise KeyError(name)
        return self[record]
