"""BioImage.IO's words for what is done to grey values, as operations of this program, and back.

>>> class Zero:
...     id, kwargs = "zero_mean_unit_variance", {"axes": ["y", "x"], "eps": 1e-6}
>>> to_operations([Zero()], "bcyx", "the input")
[{'do': 'zero-mean-unit-variance', 'epsilon': 1e-06, 'over': 'slice', 'jointly': False}]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plantseg_app.errors import InputError
from plantseg_app.zoo.card import Normalisation

Plain = dict[str, Any]

_BATCH, _CHANNEL, _SPACE = "batch", "channel", ("z", "y", "x")
_MAKES_LABELS = {"stardist_postprocessing", "cellpose_flow_dynamics"}


def to_operations(described: Sequence[Any], axes: str, what: str) -> list[Plain]:
    """Return the operations of a tensor as plain data.

    Parameters
    ----------
    described
        Objects of bioimageio.spec with ``id`` and ``kwargs``.
    axes
        Of the tensor: letters of b, c, z, y, x.
    what
        The tensor, for messages.

    Raises
    ------
    InputError
        Naming an operation that this program does not do.
    """
    made = []
    for entry in described:
        name = str(entry.id)
        if name in _MAKES_LABELS:
            raise InputError(f"{what} becomes objects by {name}, which this program does not do.")
        if name not in _TRANSLATIONS:
            raise InputError(f"{what} is processed by {name}, which this program does not do.")
        operation = _TRANSLATIONS[name](_plain(entry.kwargs), axes, what)
        if operation is not None:
            made.append(operation)
    return made


def _plain(kwargs: Any) -> Plain:
    if isinstance(kwargs, Mapping):
        return dict(kwargs)
    plain = kwargs.model_dump(mode="json")
    return dict(plain)


def _looked_at(kwargs: Plain, axes: str, what: str) -> Plain:
    """Return which voxels are looked at together."""
    if kwargs.get("reference_tensor") is not None:
        raise InputError(f"{what} is scaled by another tensor, which this program does not do.")
    wanted = kwargs.get("axes")
    is_3d = "z" in axes
    if wanted is None:
        return {"over": "stack", "jointly": "c" in axes}
    names = {str(axis) for axis in wanted}
    unknown = names - {_BATCH, _CHANNEL, *_SPACE}
    space = names & set(_SPACE)
    if unknown or not {"y", "x"} <= space:
        raise InputError(
            f"{what} is scaled along {', '.join(sorted(names)) or 'no axes'}, which this program does not do."
        )
    # The slices of a stack are the batch of a network that sees slices.
    over = "stack" if "z" in space or (not is_3d and _BATCH in names) else "slice"
    return {"over": over, "jointly": _CHANNEL in names}


def _by_channel(kwargs: Plain, what: str, *names: str) -> Plain:
    if kwargs.get("axis") not in (None, _CHANNEL):
        raise InputError(f"{what} is scaled along the axis {kwargs['axis']}, which this program does not do.")
    return {name: kwargs[name] if isinstance(kwargs[name], list) else [kwargs[name]] for name in names}


def _scale_range(kwargs: Plain, axes: str, what: str) -> Plain:
    limits = {"low": kwargs.get("min_percentile", 0.0), "high": kwargs.get("max_percentile", 100.0)}
    return {"do": "scale-range", **limits, "epsilon": kwargs.get("eps", 1e-6), **_looked_at(kwargs, axes, what)}


def _unit_variance(kwargs: Plain, axes: str, what: str) -> Plain:
    return {"do": "zero-mean-unit-variance", "epsilon": kwargs.get("eps", 1e-6), **_looked_at(kwargs, axes, what)}


def _clip(kwargs: Plain, axes: str, what: str) -> Plain:
    low, high = kwargs.get("min_percentile"), kwargs.get("max_percentile")
    if low is None and high is None:
        return {"do": "clip", "low": kwargs.get("min"), "high": kwargs.get("max")}
    if kwargs.get("min") is not None or kwargs.get("max") is not None:
        raise InputError(f"{what} is clipped at a value and at a percentile, which this program does not do at once.")
    return {"do": "clip-percentiles", "low": low, "high": high, **_looked_at(kwargs, axes, what)}


def _dtype(kwargs: Plain, _axes: str, _what: str) -> Plain | None:
    name = str(kwargs["dtype"])
    return None if name.startswith("float") else {"do": "cast", "to": name}


def _softmax(kwargs: Plain, _axes: str, what: str) -> Plain:
    if kwargs.get("axis", _CHANNEL) != _CHANNEL:
        raise InputError(f"{what} has a softmax along {kwargs['axis']}, which this program does not do.")
    return {"do": "softmax"}


def _linear(kwargs: Plain, _axes: str, what: str) -> Plain:
    full = {"gain": 1.0, "offset": 0.0, **kwargs}
    return {"do": "scale-linear", **_by_channel(full, what, "gain", "offset")}


_TRANSLATIONS: Mapping[str, Callable[[Plain, str, str], Plain | None]] = {
    "ensure_dtype": _dtype,
    "scale_range": _scale_range,
    "zero_mean_unit_variance": _unit_variance,
    "fixed_zero_mean_unit_variance": lambda kwargs, _axes, what: {
        "do": "fixed-zero-mean-unit-variance",
        **_by_channel(kwargs, what, "mean", "std"),
    },
    "scale_linear": _linear,
    "clip": _clip,
    "binarize": lambda kwargs, _axes, what: {"do": "binarise", **_by_channel(kwargs, what, "threshold")},
    "sigmoid": lambda _kwargs, _axes, _what: {"do": "sigmoid"},
    "softmax": _softmax,
}


def described_normalisation(normalisation: Normalisation, *, is_2d: bool) -> list[Plain]:
    """Return how a card prepares grey values, in the words of BioImage.IO.

    A network that sees slices is described for one slice: what is taken over a stack here is taken over the slice.

    Raises
    ------
    InputError
        If there are no words for it.
    """
    axes = list(_SPACE[1:] if is_2d else _SPACE)
    if normalisation.method == "percentile":
        limits = {"min_percentile": normalisation.low, "max_percentile": normalisation.high}
        return [{"id": "scale_range", "kwargs": {"axes": axes, **limits}}]
    if normalisation.method == "zscore":
        return [{"id": "zero_mean_unit_variance", "kwargs": {"axes": axes}}]
    return [_described(operation.model_dump(mode="json"), axes) for operation in normalisation.operations]


def _described(operation: Plain, axes: list[str]) -> Plain:
    name = operation["do"]
    if operation["channels"] is not None:
        raise InputError(f"The operation {name} on single channels has no counterpart in BioImage.IO.")
    looked_at: Plain = {}
    if "over" in operation:
        flat = axes[-2:] if operation["over"] == "slice" else axes
        looked_at = {"axes": ["channel", *flat] if operation["jointly"] else flat}
    kwargs = _BACK[name](operation)
    if "epsilon" in operation:
        # What is 0 here is not allowed there, and as good as this.
        kwargs["eps"] = max(operation["epsilon"], 1e-10)
    return {"id": _NAMES.get(name, name.replace("-", "_")), **({"kwargs": kwargs | looked_at} if kwargs else {})}


def _given(kwargs: Plain) -> Plain:
    return {name: value for name, value in kwargs.items() if value is not None}


def _per_channel(operation: Plain, *names: str) -> Plain:
    if all(len(operation[name]) == 1 for name in names):
        return {name: operation[name][0] for name in names}
    longest = max(len(operation[name]) for name in names)
    return {"axis": _CHANNEL, **{name: list(operation[name]) * (longest // len(operation[name])) for name in names}}


_NAMES = {"clip-percentiles": "clip", "binarise": "binarize", "cast": "ensure_dtype"}
_BACK: Mapping[str, Callable[[Plain], Plain]] = {
    "scale-range": lambda done: {"min_percentile": done["low"], "max_percentile": done["high"]},
    "zero-mean-unit-variance": lambda _done: {},
    "clip-percentiles": lambda done: _given({"min_percentile": done["low"], "max_percentile": done["high"]}),
    "clip": lambda done: _given({"min": done["low"], "max": done["high"]}),
    "scale-linear": lambda done: _per_channel(done, "gain", "offset"),
    "fixed-zero-mean-unit-variance": lambda done: _per_channel(done, "mean", "std"),
    "binarise": lambda done: _per_channel(done, "threshold"),
    "sigmoid": lambda _done: {},
    "softmax": lambda _done: {"axis": _CHANNEL},
    "cast": lambda done: {"dtype": done["to"]},
}
