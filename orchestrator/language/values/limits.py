"""The control limits of a channel."""

from __future__ import annotations

import numpy as np

from orchestrator.errors import LimitsError
from orchestrator.language.values.number_types import rounded
from orchestrator.types import Metadata, NativeType, Value


def check_limits(value: Value, metadata: Metadata, name: str) -> None:
    """Refuse a number beyond the control limits; equal limits mean none.

    An array's are not looked at: they tell what to display (EPICS record reference, waveform:
    HOPR, LOPR), and neither C IOCs nor caproto's keep its elements within them.

    Raises:
        LimitsError: It lies outside (NaN does); names value, limits and PV.
    """
    limits = metadata.control
    is_text = metadata.native in (NativeType.STRING, NativeType.ENUM) or isinstance(value, str)
    if not limits.are_set or is_text or metadata.count > 1:
        return
    for item in np.atleast_1d(value).tolist():
        if not is_allowed(item, metadata):
            units = f" {metadata.units}" if metadata.units else ""
            raise LimitsError(
                f"{name}: {item:.10g}{units} is outside its limits, "
                f"{limits.low:.10g} … {limits.high:.10g}{units}"
            )


def is_allowed(value: float, metadata: Metadata) -> bool:
    """Whether a number lies within the control limits, as far as the channel can tell.

    A FLOAT's limits are FLOATs themselves: 0.7 is not beyond one of 0.7, which reads 0.699999988.
    """
    native, limits = metadata.native, metadata.control
    if not limits.are_set:
        return True
    return rounded(limits.low, native) <= rounded(value, native) <= rounded(limits.high, native)
