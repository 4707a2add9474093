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
        self._families: dict[str, Callable[[str], Any]] = {}

    def later(self, name: str, make: Callable[[], Any]) -> None:
        """Serve what `make` gives as `name`; it is called when a client or an update needs it."""
        self._makers[name] = make
        self[name] = None

    def family(self, prefix: str, make: Callable[[str], Any]) -> None:
        """Serve what `make` gives for names with this prefix, which has no place until it is made.

        It is given what stands behind the prefix, and gives None where there is no such PV.
        """
        self._families[prefix] = make

    def made(self, name: str) -> Any:
        """The PV of this name; None if there is none, or nobody has asked for it yet."""
        return super().get(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The PV of this name."""
        try:
            return self[name]
        except KeyError:
            return default

    def __getitem__(self, name: str) -> Any:
        channel = super().__getitem__(name)
        if channel is None:
            channel = self[name] = self._makers.pop(name)()
        return channel

    def __missing__(self, name: str) -> Any:
        # Here and not by caproto's `get_field`: what that gives is kept by the name with its field,
        # also when the PV has been replaced.
        record = name.removesuffix(".VAL")
        if record != name and record in self:
            return self[record]
        for prefix, make in self._families.items():
            if not record.startswith(prefix):
                continue
            channel = make(record.removeprefix(prefix))
            if channel is not None:
                self[record] = channel
                return channel
        raise KeyError(name)
