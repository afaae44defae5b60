"""Weights of networks: read from files without running any code in them, matched to a network, written safely.

Files come from here (safetensors), from pytorch-3dunet and from the PlantSeg zoo (``.pytorch``, ``.pt``: a bare state
dict or one under ``model_state_dict``, with or without ``module.`` in front of every name).

Examples
--------
>>> from plantseg_app.networks.unet import UNet2D
>>> network = UNet2D(1, 2, f_maps=(8, 16), layer_order="bcr")
>>> guess_architecture(network.state_dict()).settings()["feature_maps"]
(8, 16)
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from plantseg_app.errors import InputError

_WRAPPERS = ("model_state_dict", "state_dict")
_PREFIX = "module."
_MOST_NAMED = 3
# What `torch.save` writes is not compressed; what unpacks to many times its size was made to fill the memory.
_LARGEST_GROWTH = 4
_SMALL_BYTES = 2**20
# Buffers that batch norm keeps for itself and that files written by old programs lack.
_OPTIONAL_SUFFIX = ".num_batches_tracked"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of weights by name, on the CPU.

    Parameters
    ----------
    path
        A ``.safetensors`` file, or one that `torch.save` wrote. Code hidden in the latter is refused, not run.

    Raises
    ------
    InputError
        When the file is missing, damaged, holds more than tensors, claims more numbers than it has, or holds no
        weights.
    """
    if not path.is_file():
        raise InputError(f"There is no file of weights at {path}.")
    stored = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    return _unwrapped(stored, path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"The weights {path} are damaged or no safetensors file ({error}); fetch them again."
        ) from error


def _read_pickle(path: Path) -> object:
    _check_growth(path)
    try:
        with warnings.catch_warnings():
            # torch warns of unusual pickle protocols; the file either loads or is refused below.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error) or "WeightsUnpickler" in str(error):
            raise InputError(
                f"The file {path} holds program code or objects beside its weights, which is not loaded because it "
                "could do anything; export the weights alone (a state dict of tensors) or as safetensors."
            ) from error
        raise _damaged(path, error) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _check_growth(path: Path) -> None:
    """Refuse an archive that unpacks to far more than it is."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(path, error) from error
    if unpacked > _LARGEST_GROWTH * path.stat().st_size + _SMALL_BYTES:
        raise InputError(
            f"The file {path} has {path.stat().st_size} bytes and would unpack to {unpacked}; no weights are like "
            "that, so it is not read."
        )


def _is_whole(tensor: Tensor) -> bool:
    """Return whether every number of a tensor is really there: not one number that claims to be a billion."""
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _damaged(path: Path, error: Exception) -> InputError:
    reason = (str(error) or type(error).__name__).splitlines()[0][:120]
    return InputError(f"The weights {path} are damaged, cut short or of another kind ({reason}); fetch them again.")


def _unwrapped(stored: object, path: Path) -> dict[str, Tensor]:
    for key in _WRAPPERS:
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
            break
    if not isinstance(stored, Mapping) or not any(isinstance(value, Tensor) for value in stored.values()):
        raise InputError(f"The file {path} holds no weights: a state dict is needed, bare or under model_state_dict.")
    odd = [name for name, value in stored.items() if not isinstance(value, Tensor)]
    if odd:
        raise InputError(f"The entry {odd[0]!r} of {path} is no tensor; a state dict holds tensors alone.")
    hollow = [name for name, value in stored.items() if not _is_whole(value)]
    if hollow:
        raise InputError(f"The entry {hollow[0]!r} of {path} claims more numbers than the file holds; fetch it again.")
    names = [str(name) for name in stored]
    cut = len(_PREFIX) if all(name.startswith(_PREFIX) for name in names) else 0
    return {str(name)[cut:]: value for name, value in stored.items()}


def put_weights(network: nn.Module, weights: Mapping[str, Tensor], source: str = "The file") -> None:
    """Put weights into a network after checking that every name and shape fits; changes nothing when not.

    Parameters and errors as in `check_fit`.
    """
    check_fit(network, weights, source)
    network.load_state_dict(dict(weights), strict=False)


def check_fit(network: nn.Module, weights: Mapping[str, Tensor], source: str = "The file") -> None:
    """Check that every name and shape of weights fits a network.

    Parameters
    ----------
    network
        The network, in the architecture the weights were trained in; it may lie on the device "meta", without memory.
    weights
        Tensors by parameter name, as `read_weights` returns them.
    source
        What to call the weights in an error message.

    Raises
    ------
    InputError
        Naming the first parameters that lack, are left over, or differ in shape.
    """
    wanted = network.state_dict()
    missing = [n for n in wanted if n not in weights and not n.endswith(_OPTIONAL_SUFFIX)]
    left_over = [n for n in weights if n not in wanted]
    differing = [
        f"{n} is {tuple(weights[n].shape)} instead of {tuple(wanted[n].shape)}"
        for n in wanted
        if n in weights and weights[n].shape != wanted[n].shape
    ]
    complaints = []
    for words, names in (("it lacks", missing), ("it has too much", left_over), ("shapes differ", differing)):
        if names:
            rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            complaints.append(f"{words}: {', '.join(names[:_MOST_NAMED])}{rest}")
    if complaints:
        raise InputError(
            f"{source} does not fit the network {type(network).__name__}: {'; '.join(complaints)}. "
            "Choose the architecture that it was trained in."
        )


def load_weights(network: nn.Module, path: Path) -> None:
    """Read the weights at `path` (see `read_weights`) and put them into `network` (see `put_weights`).

    Raises
    ------
    InputError
        When the file cannot be used or does not fit.
    """
    put_weights(network, read_weights(path), source=str(path))


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights of `network` as safetensors; a crash leaves the old file or the new one.

    Raises
    ------
    InputError
        When `path` does not end in ``.safetensors``.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"Weights are written as .safetensors, not as {path.name!r}.")
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # Not `save_file`, which forbids other users to read what it writes.
        temporary.write_bytes(save(tensors))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What the names and shapes of a pytorch-3dunet state dict tell about its network.

    Attributes
    ----------
    is_3d, is_residual
        Which of the four networks it is.
    in_channels, out_channels
        Channels of the image and of the prediction.
    feature_maps
        Channels of each level, finest first.
    layer_order
        The usual order that has these parameters. Activations have none, so ReLU is assumed; a group norm over
        the channels that enter a convolution stands before it.
    upsampling
        "deconv" for a plain network with transposed convolutions, else "default".
    sure
        Whether nothing above had to be assumed but the kind of activation.
    """

    is_3d: bool
    is_residual: bool
    in_channels: int
    out_channels: int
    feature_maps: tuple[int, ...]
    layer_order: str
    upsampling: Literal["default", "deconv"]
    sure: bool

    def settings(self) -> dict[str, Any]:
        """Return the settings of the boundary family that build this network (all outputs but their meaning)."""
        return {
            "dimensions": "3D" if self.is_3d else "2D",
            "residual": self.is_residual,
            "image_channels": self.in_channels,
            "feature_maps": self.feature_maps,
            "layer_order": self.layer_order,
            "upsampling": self.upsampling,
        }


def guess_architecture(weights: Mapping[str, Tensor]) -> Architecture:
    """Return the architecture that a state dict of pytorch-3dunet belongs to.

    Raises
    ------
    InputError
        When the names are not those of such a network.
    """
    levels = sorted({int(m[1]) for name in weights if (m := re.match(r"encoders\.(\d+)\.", name))})
    if levels != list(range(len(levels))) or len(levels) < 2 or "final_conv.weight" not in weights:
        raise InputError("These weights are of no U-Net of pytorch-3dunet: encoders.N... or final_conv is missing.")
    residual = "encoders.0.basic_module.conv2.conv.weight" in weights
    last = "conv3" if residual else "SingleConv2"
    first = "conv2" if residual else "SingleConv1"
    blocks = [f"encoders.{level}.basic_module" for level in levels]
    needed = [f"{block}.{part}.conv.weight" for block in blocks for part in (first, last)]
    absent = [name for name in needed if name not in weights]
    if absent:
        raise InputError(f"These weights are of no U-Net of pytorch-3dunet: {absent[0]} is missing.")
    kernel = weights[f"{blocks[0]}.{first}.conv.weight"]
    entry = weights.get(f"{blocks[0]}.conv1.weight", kernel)
    order, sure = _layer_order(weights, [f"{block}.{first}" for block in blocks])
    deconvolved = any(".conv_transposed." in name for name in weights)
    return Architecture(
        is_3d=kernel.ndim == 5,
        is_residual=residual,
        in_channels=int(entry.shape[1]),
        out_channels=int(weights["final_conv.weight"].shape[0]),
        feature_maps=tuple(int(weights[f"{block}.{last}.conv.weight"].shape[0]) for block in blocks),
        layer_order=order,
        upsampling="deconv" if deconvolved and not residual else "default",
        sure=sure,
    )


def _layer_order(weights: Mapping[str, Tensor], convolutions: list[str]) -> tuple[str, bool]:
    """Return the most usual layer order with these parameters, and whether the place of its norm is certain."""
    for name, letter in (("groupnorm", "g"), ("batchnorm", "b")):
        sizes = [weights[f"{c}.{name}.weight"].shape[0] for c in convolutions if f"{c}.{name}.weight" in weights]
        if len(sizes) != len(convolutions):
            continue
        kernels = [weights[f"{c}.conv.weight"] for c in convolutions]
        before = all(size == k.shape[1] for size, k in zip(sizes, kernels, strict=True))
        after = all(size == k.shape[0] for size, k in zip(sizes, kernels, strict=True))
        # In residual blocks all convolutions keep the number of channels, which leaves the place open.
        return (f"{letter}cr" if before else f"c{letter}r"), before != after
    return "cr", True
