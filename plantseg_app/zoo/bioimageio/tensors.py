"""What a described model reads and returns, in the terms of this program: layout, sizes, preparation, test images.

Images are (C, Z, Y, X) here, the channels of all input tensors one after the other, and so are the answers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Shape3
from plantseg_app.errors import InputError
from plantseg_app.zoo.bioimageio.package import Package
from plantseg_app.zoo.bioimageio.processing import to_operations
from plantseg_app.zoo.trial import read_array

_LETTERS = {"batch": "b", "channel": "c", "z": "z", "y": "y", "x": "x"}
_UM = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "angstrom": 1e-4, "meter": 1e6, "centimeter": 1e4}
# Context for graphs whose description gives none.
_USUAL_HALO = {"z": 8, "y": 32, "x": 32}

Plain = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class DescribedTensors:
    """The tensors of a description.

    Attributes
    ----------
    layout
        Plain settings of `GraphLayout`, the runtime excepted.
    halo_vox
        How much of the answer is not used, Z, Y, X.
    preparation, operations
        Plain operations on the channels of the image, and on those of the answer.
    input_names, channel_names
        Of the channels of the image, and of the answer.
    """

    layout: Plain
    halo_vox: Shape3
    preparation: list[Plain]
    operations: list[Plain]
    input_names: tuple[str, ...]
    channel_names: tuple[str, ...]


def describe_tensors(model: Any) -> DescribedTensors:
    """Return what the description `model` says about its tensors.

    Raises
    ------
    InputError
        If it reads or returns what is no image, or needs what this program does not do.
    """
    inputs = [tensor for tensor in model.inputs if not tensor.optional] or list(model.inputs)[:1]
    dimensions: Literal["2D", "3D"] = (
        "3D" if any(_is_long(axis, model) for tensor in inputs for axis in tensor.axes) else "2D"
    )
    letters = "zyx" if dimensions == "3D" else "yx"
    read = [_tensor(tensor, letters, 0) for tensor in inputs]
    outputs = [
        (tensor, _tensor(tensor, letters, position))
        for position, tensor in enumerate(model.outputs)
        if {"y", "x"} <= {_name(axis) for axis in tensor.axes}
    ]
    if not outputs:
        raise InputError("The model returns no image: its outputs have no axes y and x.")
    sizes = [_size(model, axis, inputs) if axis in letters else (1, 1) for axis in "zyx"]
    edges = [_lost_and_halo([tensor for tensor, _ in outputs], axis, inputs) for axis in "zyx"]
    halo = [
        min(given if given is not None else _usual_halo(axis, size), _most_halo(size)) if axis in letters else 0
        for axis, (_, given), size in zip("zyx", edges, sizes, strict=True)
    ]
    return DescribedTensors(
        layout={
            "dimensions": dimensions,
            "inputs": read,
            "outputs": [plain for _, plain in outputs],
            "least_vox": [least for least, _ in sizes],
            "step_vox": [step for _, step in sizes],
            "lost_vox": [lost if axis in letters else 0 for axis, (lost, _) in zip("zyx", edges, strict=True)],
        },
        halo_vox=(halo[0], halo[1], halo[2]),
        preparation=_operations([(tensor, tensor.preprocessing) for tensor in inputs], letters, "The input"),
        operations=_operations([(tensor, tensor.postprocessing) for tensor, _ in outputs], letters, "The output"),
        input_names=tuple(_input_name(name, tensor) for tensor in inputs for name in _channel_names(tensor)),
        channel_names=tuple(_output_name(name, tensor) for tensor, _ in outputs for name in _channel_names(tensor)),
    )


def voxel_size_um(model: Any) -> tuple[float, float, float] | None:
    """Return the voxel size that the description gives its first input, in micrometres; None where it gives none."""
    scales: dict[str, float] = {}
    for axis in model.inputs[0].axes:
        unit = getattr(axis, "unit", None)
        if str(axis.type) == "space" and unit is not None and str(unit) in _UM:
            # Scales are written in 32 bits by many.
            scales[_name(axis)] = float(f"{float(axis.scale) * _UM[str(unit)]:.6g}")
    if not {"y", "x"} <= set(scales):
        return None
    return scales.get("z", 1.0), scales["y"], scales["x"]


def test_images(package: Package, tensors: DescribedTensors) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the test image and what is to become of it, both (C, Z, Y, X); None where the package has none.

    Raises
    ------
    InputError
        If they are damaged, or not of the described axes.
    """
    model = package.model
    ids = [plain["name"] for plain in tensors.layout["inputs"]]
    inputs = [tensor for tensor in model.inputs if str(tensor.id) in ids]
    outputs = [model.outputs[plain["position"]] for plain in tensors.layout["outputs"]]
    read = [_test_array(package, tensor, tensors) for tensor in inputs]
    made = [_test_array(package, tensor, tensors) for tensor in outputs]
    image = np.concatenate([array for array in read if array is not None]) if None not in map(_shape, read) else None
    expected = np.concatenate([array for array in made if array is not None]) if None not in map(_shape, made) else None
    return None if image is None or expected is None else (image, expected)


def _shape(array: NDArray[np.float32] | None) -> tuple[int, ...] | None:
    return None if array is None else array.shape


def _test_array(package: Package, tensor: Any, tensors: DescribedTensors) -> NDArray[np.float32] | None:
    if tensor.test_tensor is None or package.find(tensor.test_tensor.source) is None:
        return None
    path = package.checked(tensor.test_tensor.source, _sha256(tensor.test_tensor), "The test image")
    array = read_array(path)
    names = [_name(axis) for axis in tensor.axes]
    if array.ndim != len(names):
        raise InputError(
            f"The test image {path.name} has shape {array.shape}; the axes {', '.join(names)} are described."
        )
    # A network that sees slices shows them as a batch.
    order = ("channel", "batch", "y", "x") if tensors.layout["dimensions"] == "2D" else ("channel", "z", "y", "x")
    for position in reversed(range(len(names))):
        if names[position] not in order:
            # Batches of stacks, and axes with one entry.
            array = np.take(array, [0], position).squeeze(position)
            del names[position]
    array = array.transpose([names.index(name) for name in order if name in names])
    kept = iter(array.shape)
    return array.reshape([next(kept) if name in names else 1 for name in order])


def _sha256(file: Any) -> str | None:
    return str(file.sha256) if file.sha256 is not None else None


def _name(axis: Any) -> str:
    """Return what an axis is here: batch, channel, z, y, x, or its own name."""
    kind = str(axis.type)
    return kind if kind in ("batch", "channel") else str(axis.id)


def _is_long(axis: Any, model: Any) -> bool:
    """Return whether an axis is a z axis with more than one slice."""
    return _name(axis) == "z" and _size(model, "z", list(model.inputs)) != (1, 0)


def _tensor(tensor: Any, letters: str, position: int) -> Plain:
    """Return the plain settings of a `TensorLayout`.

    Raises
    ------
    InputError
        If it has an axis that no image has.
    """
    axes, channels = "", 1
    for axis in tensor.axes:
        letter = _LETTERS.get(_name(axis))
        if letter == "c":
            channels = len(axis.channel_names)
        if letter in ("b", "c") or (letter is not None and letter in letters):
            axes += letter
        elif axis.size == 1 or letter == "z":
            axes += "1"
        else:
            raise InputError(f'The tensor "{tensor.id}" has the axis "{axis.id}", which images do not have here.')
    if not {"y", "x"} <= set(axes):
        raise InputError(f'The tensor "{tensor.id}" is no image: it has no axes y and x.')
    return {
        "name": str(tensor.id),
        "axes": axes,
        "n_channels": channels,
        "position": position,
        "dtype": _dtype_after(tensor) if hasattr(tensor, "preprocessing") else "float32",
    }


def _dtype_after(tensor: Any) -> str:
    """Return the type that an input has once it is prepared."""
    for entry in reversed(tensor.preprocessing):
        if str(entry.id) == "ensure_dtype":
            name = str(entry.kwargs.dtype)
            # Types that torch does not have are wide enough one step up.
            return {"uint16": "int32", "uint32": "int64", "uint64": "int64"}.get(name, name)
        if str(entry.id) == "binarize":
            return "bool"
    return "float32"


def _size(model: Any, letter: str, inputs: Sequence[Any]) -> tuple[int, int]:
    """Return the least size along an axis and the step in which it may grow; 0: it may not.

    Raises
    ------
    InputError
        If inputs are of different sizes.
    """
    axes = [axis for tensor in inputs for axis in tensor.axes if _name(axis) == letter]
    found = [_resolved(model, axis.size, 0) for axis in axes]
    if not found:
        return 1, 0
    if len(set(found)) > 1:
        raise InputError(
            f"The inputs of the model are of different sizes along {letter}, which this program does not do."
        )
    return found[0]


def _resolved(model: Any, size: Any, depth: int) -> tuple[int, int]:
    if isinstance(size, int):
        return size, 0
    if hasattr(size, "min") and hasattr(size, "step"):
        return int(size.min), int(size.step)
    if hasattr(size, "tensor_id") and depth < 4 and size.offset == 0:
        for tensor in model.inputs:
            for axis in tensor.axes:
                if tensor.id == size.tensor_id and axis.id == size.axis_id:
                    return _resolved(model, axis.size, depth + 1)
    raise InputError(
        "The sizes of the images that the model reads depend on each other in a way that is not followed here."
    )


def _lost_and_halo(outputs: Sequence[Any], letter: str, inputs: Sequence[Any]) -> tuple[int, int | None]:
    """Return how much of the image the answer lacks at each end, and how much of it is described as not to be used.

    Raises
    ------
    InputError
        If an answer is of another scale than the image, or outputs differ.
    """
    lost, halos = set(), []
    for tensor in outputs:
        for axis in tensor.axes:
            if _name(axis) != letter:
                continue
            halo = getattr(axis, "halo", None)
            halos.append(None if halo is None else int(halo))
            lost.add(_lost(axis, inputs, str(tensor.id)))
    if len(lost) > 1:
        raise InputError(
            f"The outputs of the model are of different sizes along {letter}, which this program does not do."
        )
    given = [halo for halo in halos if halo is not None]
    return lost.pop() if lost else 0, max(given) if given else None


def _lost(axis: Any, inputs: Sequence[Any], name: str) -> int:
    size = axis.size
    for tensor in inputs:
        for other in tensor.axes:
            if hasattr(size, "tensor_id") and tensor.id == size.tensor_id and other.id == size.axis_id:
                if other.scale != axis.scale or size.offset > 0 or size.offset % 2 or _name(other) != _name(axis):
                    raise InputError(f'The output "{name}" is of another scale than the image, which is not done here.')
                return int(-size.offset // 2)
    if isinstance(size, int):
        for tensor in inputs:
            for other in tensor.axes:
                if _name(other) == _name(axis) and isinstance(other.size, int):
                    if size > other.size or (other.size - size) % 2:
                        raise InputError(
                            f'The output "{name}" is of another scale than the image, which is not done here.'
                        )
                    return int((other.size - size) // 2)
    raise InputError(
        f'The size of the output "{name}" does not follow from that of the image; objects are not read here.'
    )


def _usual_halo(letter: str, size: tuple[int, int]) -> int:
    least, step = size
    return min(_USUAL_HALO[letter], least // 8) if step == 0 else _USUAL_HALO[letter]


def _most_halo(size: tuple[int, int]) -> int:
    """Return the largest halo that leaves something of a tile."""
    least, step = size
    return 10**6 if step else (least - 1) // 2


def _operations(tensors: Sequence[tuple[Any, Any]], letters: str, what: str) -> list[Plain]:
    """Return the operations of several tensors, each told which channels are its own."""
    made, first = [], 0
    for tensor, described in tensors:
        plain = _tensor(tensor, letters, 0)
        n_channels = plain["n_channels"]
        own = {"channels": list(range(first, first + n_channels))} if len(tensors) > 1 else {}
        for operation in to_operations(described, plain["axes"], f'{what} "{tensor.id}"'):
            if n_channels == 1:
                operation.pop("jointly", None)
            made.append({**operation, **own})
        first += n_channels
    return made


def _channel_names(tensor: Any) -> list[str]:
    for axis in tensor.axes:
        if _name(axis) == "channel":
            return [str(name) for name in axis.channel_names]
    return [str(tensor.id)]


def _input_name(name: str, tensor: Any) -> str:
    return str(tensor.id) if re.fullmatch(r"channel\d*", name) and len(_channel_names(tensor)) == 1 else name


def _output_name(name: str, tensor: Any) -> str:
    # Of several tensors with one channel each it is the tensor that says something.
    return f"{tensor.id} {name}" if len(_channel_names(tensor)) == 1 and name != str(tensor.id) else name
