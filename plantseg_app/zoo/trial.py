"""An image that comes with a model, and what the model is known to make of it: the proof that it works here, too.

The two lie beside the card as ``test_input.npy``, grey values (C, Z, Y, X) before any preparation, and
``test_output.npy``, all channels of the answer (C', Z, Y, X). Models without them can be used; they cannot be proved.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from plantseg_app.errors import InputError
from plantseg_app.zoo.catalogue import InstalledModel
from plantseg_app.zoo.preparing import prepare

if TYPE_CHECKING:
    import torch

    from plantseg_app.networks.family import NetworkFamily
    from plantseg_app.zoo.card import Normalisation

INPUT_FILE, OUTPUT_FILE = "test_input.npy", "test_output.npy"
_LARGEST_BYTES = 2 * 2**30
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4
_SHARE_BEYOND = 1e-4


@dataclasses.dataclass(frozen=True)
class Trial:
    """How near a model came to what it should make of its test image.

    Attributes
    ----------
    largest_difference
        Over all voxels and channels.
    share_beyond
        Of the voxels that differ by more than a ten thousandth and a thousandth of their value.
    """

    largest_difference: float
    share_beyond: float

    @property
    def passed(self) -> bool:
        """Whether the model makes what it should; a few voxels at a threshold may fall to the other side."""
        return self.share_beyond <= _SHARE_BEYOND

    @property
    def problem(self) -> str:
        """What is wrong, as the rest of a sentence about the model; "" when it passed."""
        if self.passed:
            return ""
        return f"it predicts something else of its test image (by up to {self.largest_difference:.2g})"


def try_model(model: InstalledModel) -> Trial | None:
    """Load an installed model and let it predict its test image; None when it has none. This loads torch.

    Raises
    ------
    InputError
        If the model or its test image is damaged.
    ResourceError
        If memory, or the package that runs the model, is missing.
    """
    from plantseg_app.zoo.load import load_network

    network, card = load_network(model), model.card
    if not (model.folder / INPUT_FILE).is_file() or not (model.folder / OUTPUT_FILE).is_file():
        return None
    image, expected = (read_array(model.folder / name) for name in (INPUT_FILE, OUTPUT_FILE))
    return compare(predict_whole(network, card.network_family(), image, card.normalisation), expected)


def predict_whole(
    network: torch.nn.Module, family: NetworkFamily, image: NDArray[np.float32], normalisation: Normalisation
) -> NDArray[np.float32]:
    """Return what a network makes of a small image (C, Z, Y, X), untiled, in full precision, all channels."""
    import torch

    prepared = torch.from_numpy(prepare(image, normalisation))
    batch = prepared.movedim(1, 0) if family.is_2d else prepared[None]
    with torch.inference_mode():
        activated = family.activate(network.eval()(batch.contiguous()).float())
    maps = activated.movedim(0, 1) if family.is_2d else activated[0]
    return family.finish(np.ascontiguousarray(maps.cpu().numpy(), np.float32))


def compare(made: NDArray[np.float32], expected: NDArray[np.float32]) -> Trial:
    """Compare two answers (C, Z, Y, X).

    Raises
    ------
    InputError
        If they are of different shapes.
    """
    if made.shape != expected.shape:
        raise InputError(f"The model makes maps of shape {made.shape} of its test image; {expected.shape} is expected.")
    difference = np.abs(made.astype(np.float64) - expected)
    difference[~np.isfinite(difference)] = np.inf
    beyond = difference > _ABSOLUTE + _RELATIVE * np.abs(expected)
    return Trial(float(difference.max()), float(beyond.mean()))


def read_array(path: Path) -> NDArray[np.float32]:
    """Return the numbers of a ``.npy`` file as float32; objects in it are refused, not loaded.

    Raises
    ------
    InputError
        If it is damaged, holds no plain numbers, or claims more of them than it has.
    """
    try:
        with path.open("rb") as stream:
            version = npy.read_magic(stream)
            shape, _, dtype = (
                npy.read_array_header_1_0(stream) if version == (1, 0) else npy.read_array_header_2_0(stream)
            )
            claimed = int(np.prod(shape, dtype=object)) * dtype.itemsize
            if dtype.hasobject or dtype.kind not in "uifb" or claimed > min(_LARGEST_BYTES, path.stat().st_size):
                raise InputError(f"{path} is no array of plain numbers, or claims more of them than it holds.")
            stream.seek(0)
            return np.asarray(np.load(stream, allow_pickle=False), np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"The array {path} is damaged: {error}") from error


def write_trial(folder: Path, image: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Write the test image and what is to become of it, both (C, Z, Y, X), into the folder of a model."""
    np.save(folder / INPUT_FILE, np.ascontiguousarray(image, np.float32), allow_pickle=False)
    np.save(folder / OUTPUT_FILE, np.ascontiguousarray(expected, np.float32), allow_pickle=False)
