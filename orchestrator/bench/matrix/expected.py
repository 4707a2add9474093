"""What may become of a run: by the fault, and by what the run needs of the IOC from then on."""

from __future__ import annotations

from collections.abc import Mapping

_WORDS = {"S": "Success", "F": "Failed", "T": "Timeout", "P": "Stopped"}

NEEDS = (
    "check", "start", "completion", "patience", "readback", "settle", "update", "machine", "hold",
    "put", "put_back", "held", "get", "get_once", "scan", "retry", "watched", "finaliser",
    "nothing", "loading", "moving", "between",
)  # fmt: skip
"""The columns of the table below."""

_TABLE = """
                   ck st  co pa rb se up ma ho pu pb he ge g1 sc re wa fi no lo  mo be
killed             F  SF  F  F  F  F  T  T  T  F  F  T  F  SF F  F  P  F  S  F   T  T
restarted          S  SF  F  F  F  F  S  S  T  SF S  S  F  SF F  S  SP F  S  SF  S  S
moved              SF SF  F  F  F  F  ST ST T  SF SF ST F  SF F  SF SP F  S  SFT ST ST
retyped            F  SF  F  F  F  F  TF TF T  F  F  TF F  SF F  F  P  F  S
doubled            S  S   S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S   S  S
frozen             FT FTS T  F  T  S  T  T  S  T  TF T  T  ST T  TF PS T  S  TF  T  T
thawed             S  S   S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S   S  S
thawed_late        FT FTS T  F  T  S  T  ST S  T  S  ST T  ST T  SF SP T  S  TF  T  T
refuses            F  SF  S  S  S  S  T  T  S  F  F  F  S  S  F  S  S  S  S  F   S  S
refuses_shortly    S  SF  S  S  S  S  S  S  S  SF S  SF S  S  SF S  S  S  S  SF  S  S
fails_puts         F  SF  S  S  S  S  T  T  S  F  F  F  S  S  F  S  S  S  S
hangs              T  ST  T  T  S  S  S  S  S  T  T  T  S  S  T  T  S  T  S
sticks             T  ST  S  S  T  S  T  T  S  T  T  T  S  S  T  S  S  S  S
misses             T  ST  S  S  T  S  S  S  S  T  T  T  S  S  T  S  S  S  S
nan                T  ST  S  S  T  S  T  T  T  T  T  T  S  S  T  S  PS S  S
late               S  S   S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S   S  S
flood              S  S   S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S
invalid            T  ST  S  S  T  S  T  T  T  T  T  T  S  S  T  S  P  S  S  S   S  S
invalid_shortly    S  S   S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S   S  S
major              S  S   S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S   S  S
slow_wire          S  S   S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S   S  S
black_hole         FT FTS T  F  T  S  T  T  S  T  TF T  T  T  T  TF PS T  S  TF  T  T
black_hole_shortly S  S   S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S   S  S
black_hole_long    FT FTS T  F  T  S  T  ST S  T  S  ST T  T  T  SF SP T  S  TF  T  T
cut                S  SF  F  F  F  F  S  S  T  SF S  S  F  F  F  S  SP F  S  SF  S  S
shut               SF SF  F  F  F  F  S  S  T  F  S  S  F  F  F  S  SP F  S  F   S  S
flaps              SF SF  F  F  F  F  S  S  T  SF S  S  F  F  F  SF SP F  S  SF  S  S
deaf               S  S   S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S  S   S  S
deaf_and_cut       F  SF  F  F  F  F  T  T  T  F  F  T  F  F  F  F  P  F  S  F   T  T
deaf_shortly       SF SF  F  F  F  F  ST ST T  F  SF ST F  F  F  SF SP F  S  F   ST ST
"""


def _parsed() -> Mapping[tuple[str, str], str]:
    _, _, *rows = _TABLE.splitlines()
    return {
        (fault, need): letters
        for fault, *cells in map(str.split, rows)
        for need, letters in zip(NEEDS, cells, strict=False)
    }


_ALLOWED = _parsed()


def expected(fault: str, need: str) -> tuple[str, ...]:
    """How a run may end that is struck by a fault when it has this need.

    >>> expected("killed", "completion")
    ('Failed',)
    """
    return tuple(_WORDS[letter] for letter in _ALLOWED[fault, need])
