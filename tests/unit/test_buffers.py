from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.buffers import CircularBuffer, Column


@given(
    st.integers(1, 20),
    st.lists(st.lists(st.floats(-1e6, 1e6), max_size=50), max_size=10),
)
def test_window_is_the_newest_values_oldest_first(capacity, batches):
    buffer, seen = CircularBuffer(capacity), []
    for batch in batches:
        buffer.extend(np.array(batch, dtype=float))
        seen += batch
    assert buffer.window().tolist() == seen[-capacity:]
    assert len(buffer) == min(len(seen), capacity)


@given(st.integers(1, 20), st.lists(st.floats(-1e6, 1e6), max_size=60))
def test_append_is_extend_by_one(capacity, values):
    one, other = CircularBuffer(capacity), CircularBuffer(capacity)
    for value in values:
        one.append(value)
    other.extend(np.array(values, dtype=float))
    assert one.window().tolist() == other.window().tolist()


def test_window_that_does_not_wrap_is_no_copy():
    buffer = CircularBuffer(10)
    buffer.extend(np.arange(5.0))
    assert np.shares_memory(buffer.window(), buffer._values)


def test_column_prefixes_never_change():
    column, prefixes = Column(), []
    for i in range(300):
        column.append(float(i))
        prefixes.append(column.values())
    for i, prefix in enumerate(prefixes):
        np.testing.assert_array_equal(prefix, np.arange(i + 1.0))


def test_column_views_are_read_only():
    column = Column()
    column.append(1.0)
    with pytest.raises(ValueError, match="read-only"):
        column.values()[0] = 2.0
