"""What other programs do to grey values before and after a network: small operations in a list, all of them plain data.

The vocabulary is that of BioImage.IO (https://bioimage.io, model description 0.5), so that a description can be
followed to the letter. Files, cards and networks are not known here.

>>> import numpy as np
>>> image = np.array([[[[0.0, 5.0, 10.0]]]], np.float32)
>>> steps = read_operations([{"do": "scale-range", "low": 0, "high": 100}, {"do": "scale-linear", "offset": [1.0]}])
>>> apply_operations(image, steps).round(3).tolist()
[[[[1.0, 1.5, 2.0]]]]
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Channels = NDArray[np.float32]
"""(C, Z, Y, X) float32."""

_Z, _Y, _X = 1, 2, 3
_FLAT_AXES = {"stack": (_Z, _Y, _X), "slice": (_Y, _X)}
Epsilon = Annotated[float, Field(ge=0, le=0.1)]
PerChannel = tuple[float, ...]


class Operation(BaseModel, abc.ABC):
    """One operation; of channels that it does not name nothing changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    channels: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None, description="The channels, counted from 0, that it is done to; null: all."
    )

    @property
    def looks_around(self) -> bool:
        """Whether the result at a voxel depends on other voxels, so that it must wait for the whole image."""
        return False

    @abc.abstractmethod
    def apply(self, image: Channels) -> Channels:
        """Return a new array (C, Z, Y, X) of the channels that it is done to."""


class _Statistical(Operation):
    """An operation that looks at the values of the whole image first."""

    over: Literal["stack", "slice"] = Field(
        "stack", description="Whether the whole stack is looked at, or each slice by itself."
    )
    jointly: bool = Field(False, description="Whether all channels are looked at together.")

    @property
    def looks_around(self) -> bool:
        return True

    @property
    def _axes(self) -> tuple[int, ...]:
        return ((0,) if self.jointly else ()) + _FLAT_AXES[self.over]


class ScaleRange(_Statistical):
    """Move one percentile to 0 and another one to 1."""

    do: Literal["scale-range"] = "scale-range"
    low: float = Field(0.0, ge=0, lt=100, description="The percentile that becomes 0.")
    high: float = Field(100.0, gt=0, le=100, description="The percentile that becomes 1.")
    epsilon: Epsilon = Field(1e-6, description="Added to the width.")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self

    def apply(self, image: Channels) -> Channels:
        """Return (image - low) / (high - low + epsilon), percentiles interpolated linearly."""
        low, high = np.percentile(image, (self.low, self.high), self._axes, keepdims=True)
        return np.asarray((image - low) / (high - low + self.epsilon), np.float32)


class UnitVariance(_Statistical):
    """Bring the mean to 0 and the standard deviation to 1."""

    do: Literal["zero-mean-unit-variance"] = "zero-mean-unit-variance"
    epsilon: Epsilon = Field(1e-6, description="Added to the standard deviation.")

    def apply(self, image: Channels) -> Channels:
        """Return (image - mean) / (standard deviation + epsilon); where both are 0, 0."""
        mean = image.mean(self._axes, np.float64, keepdims=True)
        width = image.std(self._axes, np.float64, keepdims=True) + self.epsilon
        return np.asarray((image - mean) / np.where(width > 0, width, 1), np.float32)


class ClipPercentiles(_Statistical):
    """Cut values off at percentiles."""

    do: Literal["clip-percentiles"] = "clip-percentiles"
    low: float | None = Field(None, ge=0, lt=100, description="Values below this percentile become it.")
    high: float | None = Field(None, gt=0, le=100, description="Values above this percentile become it.")

    def apply(self, image: Channels) -> Channels:
        """Return the image cut off; the percentiles are values of the image."""
        low, high = (
            None if limit is None else np.percentile(image, limit, self._axes, keepdims=True, method="inverted_cdf")
            for limit in (self.low, self.high)
        )
        return image.copy() if low is None and high is None else np.clip(image, low, high)


class ScaleLinear(Operation):
    """Multiply and add: one number for all channels, or one for each."""

    do: Literal["scale-linear"] = "scale-linear"
    gain: PerChannel = Field((1.0,), min_length=1, description="Factors.")
    offset: PerChannel = Field((0.0,), min_length=1, description="Added after the factor.")

    def apply(self, image: Channels) -> Channels:
        """Return gain * image + offset."""
        return (image * _by_channel(self.gain) + _by_channel(self.offset)).astype(np.float32)


class FixedUnitVariance(Operation):
    """Subtract a known mean and divide by a known standard deviation."""

    do: Literal["fixed-zero-mean-unit-variance"] = "fixed-zero-mean-unit-variance"
    mean: PerChannel = Field(min_length=1, description="Subtracted.")
    std: tuple[Annotated[float, Field(ge=1e-6)], ...] = Field(min_length=1, description="Divided by.")

    def apply(self, image: Channels) -> Channels:
        """Return (image - mean) / std."""
        return ((image - _by_channel(self.mean)) / _by_channel(self.std)).astype(np.float32)


class Clip(Operation):
    """Cut values off."""

    do: Literal["clip"] = "clip"
    low: float | None = Field(None, description="Values below become it.")
    high: float | None = Field(None, description="Values above become it.")

    def apply(self, image: Channels) -> Channels:
        """Return the image cut off."""
        return image.copy() if self.low is None and self.high is None else np.clip(image, self.low, self.high)


class Binarise(Operation):
    """Make 1 of what is above a threshold, and 0 of the rest."""

    do: Literal["binarise"] = "binarise"
    threshold: PerChannel = Field(min_length=1, description="One number for all channels, or one for each.")

    def apply(self, image: Channels) -> Channels:
        """Return image > threshold as 0 and 1."""
        return (image > _by_channel(self.threshold)).astype(np.float32)


class Sigmoid(Operation):
    """Make probabilities of logits, channel by channel."""

    do: Literal["sigmoid"] = "sigmoid"

    def apply(self, image: Channels) -> Channels:
        """Return 1 / (1 + exp(-image))."""
        from scipy.special import expit

        return np.asarray(expit(image), np.float32)


class Softmax(Operation):
    """Make probabilities that add up to one over the channels."""

    do: Literal["softmax"] = "softmax"

    def apply(self, image: Channels) -> Channels:
        """Return the softmax over the channels."""
        raised = np.exp(image - image.max(0, keepdims=True))
        return np.asarray(raised / raised.sum(0, keepdims=True), np.float32)


class Cast(Operation):
    """Bring values to another type, as a cast in C does: fractions are cut off."""

    do: Literal["cast"] = "cast"
    to: Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "bool"] = Field(
        description="The type; what it cannot hold is lost."
    )

    def apply(self, image: Channels) -> Channels:
        """Return the values that are left, as float32."""
        # Through int64, because what a processor makes of a float that is too large for a small type is not defined.
        whole = image.astype(bool) if self.to == "bool" else image.astype(np.int64).astype(self.to)
        return whole.astype(np.float32)


AnyOperation = Annotated[
    ScaleRange
    | UnitVariance
    | ClipPercentiles
    | ScaleLinear
    | FixedUnitVariance
    | Clip
    | Binarise
    | Sigmoid
    | Softmax
    | Cast,
    Field(discriminator="do"),
]
"""Any operation, told by its entry ``do``."""

Operations = tuple[AnyOperation, ...]
"""Operations in the order in which they are done."""


def read_operations(plain: Sequence[Any]) -> Operations:
    """Return the operations of a list of mappings.

    Raises
    ------
    pydantic.ValidationError
        Naming what is wrong; it is a `ValueError`.
    """
    return TypeAdapter(Operations).validate_python(list(plain))


def apply_operations(image: Channels, operations: Sequence[Operation]) -> Channels:
    """Return what a list of operations makes of (C, Z, Y, X) float32; the input stays as it is."""
    for operation in operations:
        if operation.channels is None:
            image = operation.apply(image)
        else:
            chosen = list(operation.channels)
            image = image.copy()
            image[chosen] = operation.apply(image[chosen])
    return image


def split_at_whole_image(operations: Operations) -> tuple[Operations, Operations]:
    """Return the first operations, which may be done tile by tile, and those that must wait for the whole image."""
    first = next((i for i, operation in enumerate(operations) if operation.looks_around), len(operations))
    return operations[:first], operations[first:]


def _by_channel(values: PerChannel) -> NDArray[np.float64]:
    return np.asarray(values, np.float64).reshape(-1, 1, 1, 1)
