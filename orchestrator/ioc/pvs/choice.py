"""An enum that keeps its index, also one without label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import caproto as ca
import numpy as np
from caproto._backend import backend
from caproto._utils import ConversionDirection

from orchestrator.ioc.pvs.text import encode, metadata_for
from orchestrator.types import Metadata, NativeType

_LABEL_BYTES = ca.MAX_ENUM_STRING_SIZE - 1
_STRING_BYTES = 39


class ChoiceChannel(ca.ChannelEnum):  # type: ignore[misc] # caproto is untyped
    """An enum outside of any group whose value is its index.

    caproto keeps the label, and can neither take nor give an index that has none: a valve between
    its switches. As a text that is the digits of its index. It may have more labels than clients
    can be told (16, MAX_ENUM_STATES of db_access.h): they too are given as text.
    """

    def __init__(self, *, labels: Sequence[str], **kwargs: Any) -> None:
        """`labels` by index; the rest as `ca.ChannelEnum`."""
        self._labels = tuple(labels)
        super().__init__(enum_strings=(), **kwargs)

    @property
    def labels(self) -> tuple[str, ...]:
        """By index; an empty one is none."""
        return self._labels

    async def relabel(self, labels: Sequence[str]) -> None:
        """Give it other labels, and tell who subscribes to that."""
        if tuple(labels) != self._labels:
            self._labels = tuple(labels)
            await self.write_metadata()

    def index(self, value: Any) -> int:
        """The index of a label, or an index.

        Raises:
            ValueError: It is neither.
        """
        if isinstance(value, str):
            return self._labels.index(value)
        index = int(value)
        if index != value or not 0 <= index < 2**16:
            raise ValueError(f"{value} is no index")
        return index

    async def _read(self, data_type: Any) -> tuple[Any, Any]:
        data_type = ca.ChannelType(data_type)
        if data_type in (ca.ChannelType.STSACK_STRING, ca.ChannelType.CLASS_NAME):
            return await super()._read(data_type)  # type: ignore[no-any-return] # untyped
        native = ca.native_type(data_type)
        index = int(self._data["value"])
        values: Any
        if native == ca.ChannelType.STRING:
            text = Metadata(NativeType.ENUM, labels=self._labels).label(index)
            values = [encode(text, _STRING_BYTES)]
        elif native == ca.ChannelType.ENUM:
            values = np.array([index], ">u2")
        else:
            values = backend.convert_values(
                values=[index],
                from_dtype=ca.ChannelType.LONG,
                to_dtype=native,
                direction=ConversionDirection.TO_WIRE,
            )
        return await metadata_for(self, data_type), values

    def _read_metadata(self, metadata: Any) -> None:
        super()._read_metadata(metadata)
        if hasattr(metadata, "enum_strings"):
            listed = self._labels[: ca.MAX_ENUM_STATES]
            metadata.enum_strings = [encode(label, _LABEL_BYTES) for label in listed]
