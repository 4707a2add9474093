from __future__ import annotations

import pytest

from tests.unit.client.fake_libca import FakeCa, replace_libca


@pytest.fixture
def ca(monkeypatch: pytest.MonkeyPatch) -> FakeCa:
    """A stand-in for libca."""
    return replace_libca(monkeypatch)
