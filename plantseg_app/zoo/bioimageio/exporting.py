"""A model of this program as a package of BioImage.IO, for ilastik, ImageJ (deepImageJ), and whoever reads the format.

The package holds the network as TorchScript, which needs nothing but torch to run; for U-Nets also the state dict with
the class of pytorch-3dunet that reads it; a test image and what becomes of it; a page and a picture for people; and the
card and the weights of this program, with which the model comes back as it was. It is checked by bioimageio.spec, to
the last test image, before it gets its name.
"""

from __future__ import annotations

import datetime
import gc
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import yaml
from numpy.typing import NDArray

from plantseg_app import __version__, paths
from plantseg_app.core.tiles import mirror_indices, round_up
from plantseg_app.core.volume import Kind, Shape3
from plantseg_app.errors import InputError, RequestError
from plantseg_app.io.atomic import replacing
from plantseg_app.networks.pytorch3dunet import described_network
from plantseg_app.zoo.bioimageio.own import own_config
from plantseg_app.zoo.bioimageio.pages import draw_cover, write_page
from plantseg_app.zoo.bioimageio.processing import described_normalisation
from plantseg_app.zoo.card import CARD_FILE, ModelCard
from plantseg_app.zoo.catalogue import InstalledModel
from plantseg_app.zoo.converted import describe_file
from plantseg_app.zoo.load import verify_model
from plantseg_app.zoo.trial import INPUT_FILE, predict_whole, read_array

if TYPE_CHECKING:
    import torch

    from plantseg_app.networks.family import NetworkFamily

Plain = dict[str, Any]

# Not the latest one: programs of some years ago read it, too, and it says all that is needed.
_FORMAT_VERSION = "0.5.4"
_DESCRIPTION, _GRAPH, _STATE = "bioimageio.yaml", "weights-torchscript.pt", "weights.pt"
_TEST_INPUT, _TEST_OUTPUT, _COVER, _PAGE = "test-input.npy", "test-output.npy", "cover.png", "README.md"
_SAMPLE_INPUT, _SAMPLE_OUTPUT = "sample-input.tif", "sample-output.tif"
_FORBIDDEN_IN_NAMES = re.compile(r"[^A-Za-z0-9_+\- ()]")
# Others cut their images with this much context; exact context would make test images of stacks very large.
_LARGEST_HALO_3D = 16
_CELLS_OF_TEST_IMAGE = 2
_LONGEST_TEXT = 512
_LARGEST_SIZE = 2**16


def export_bioimageio(model: InstalledModel, target: Path, image: NDArray[Any] | None = None) -> Path:
    """Write a model as a package, and return its path; this loads torch.

    Parameters
    ----------
    model
        A trained network of this program.
    target
        The zip archive to write; one that is there is replaced.
    image
        (C, Z, Y, X), what the test image is cut from; None: the test image of the model, or a sample of the program.

    Raises
    ------
    RequestError
        If the model runs a graph of another program, or `target` is no zip archive.
    InputError
        If the model is damaged, or the image has other channels than it reads.
    """
    if target.suffix != ".zip":
        raise RequestError(f"A package is a zip archive: call it {target.stem or 'model'}.zip, not {target.name}.")
    family = model.card.network_family()
    if family.kind == "graph":
        raise RequestError(
            f"The model {model.card.id} is a graph of another program; share the package that it was made of."
        )
    from plantseg_app.zoo.load import load_network

    verify_model(model)
    with tempfile.TemporaryDirectory(prefix="plantseg-export-") as name:
        folder = Path(name)
        network = load_network(model)
        tested = _test_image(model, family, image)
        answer = predict_whole(network, family, tested, model.card.normalisation)
        _write_files(model, family, network, folder)
        for maps, tensor, sample in ((tested, _TEST_INPUT, _SAMPLE_INPUT), (answer, _TEST_OUTPUT, _SAMPLE_OUTPUT)):
            np.save(folder / tensor, _as_tensor(maps, family), allow_pickle=False)
            # The same once more, for people to look at.
            tifffile.imwrite(folder / sample, _as_tensor(maps, family).squeeze(), compression="zlib")
        draw_cover(tested, answer, folder / _COVER)
        write_page(model.card, folder / _PAGE)
        content = _description(model.card, family, folder)
        _check(content, folder)
        with replacing(target) as partial:
            _pack(folder, partial)
    return target


def _write_files(model: InstalledModel, family: NetworkFamily, network: torch.nn.Module, folder: Path) -> None:
    """Write the weights in all forms."""
    import torch

    for file in (model.card.weights, *model.card.files):
        shutil.copyfile(model.folder / file.file, folder / file.file)
    if family.kind == "boundary":
        torch.save(network.state_dict(), folder / _STATE)
    exported = _exported(network, family)
    example = torch.zeros((1, family.in_channels, *_spatial(_least_vox(family), family)))
    with warnings.catch_warnings(), torch.no_grad():
        # torch has newer formats; this one is what the others read. What is fixed while tracing holds for all images.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(exported, example, check_trace=False)  # type: ignore[no-untyped-call]
        traced.save(str(folder / _GRAPH))


def _exported(network: torch.nn.Module, family: NetworkFamily) -> torch.nn.Module:
    """Return a module that maps an image (1, C, [Z,] Y, X) to what the model means by it."""
    import torch

    class Exported(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return family.activate(self.network(image))

    return Exported().eval()


def _test_image(model: InstalledModel, family: NetworkFamily, image: NDArray[Any] | None) -> NDArray[np.float32]:
    """Return a small image (C, Z, Y, X) of a size that the package allows."""
    if image is None:
        own = model.folder / INPUT_FILE
        image = read_array(own) if own.is_file() else _sample(family.in_channels)
    if image.ndim != 4 or len(image) != family.in_channels:
        raise InputError(
            f"The model {model.card.id} reads {family.in_channels} channel(s); the test image has shape {image.shape}."
        )
    least = _least_vox(family)
    for axis, size in enumerate(least, start=1):
        have = image.shape[axis]
        start = max(0, (have - size) // 2)
        image = np.take(image, mirror_indices((start, start + size), have), axis=axis)
    return np.ascontiguousarray(image, np.float32)


def _sample(n_channels: int) -> NDArray[Any]:
    """Return the sample of the program, which has membranes, in each channel."""
    from plantseg_app.io import read_volume

    raw = read_volume(paths.samples_dir() / "sample_ovule.h5").data
    return np.stack([raw] * n_channels)


def _halo_vox(family: NetworkFamily) -> Shape3:
    if family.frame_vox is not None:
        return 0, 0, 0
    z, y, x = family.tile_halo_vox
    if family.is_2d:
        return 0, y, x
    z, y, x = (
        min(halo, round_up(_LARGEST_HALO_3D, grid)) for halo, grid in zip((z, y, x), family.grid_vox, strict=True)
    )
    return z, y, x


def _least_vox(family: NetworkFamily) -> Shape3:
    """Return the smallest image that the package allows: a frame, or a few cells of the pooling grid and the halo."""
    if family.frame_vox is not None:
        return family.frame_vox
    z, y, x = (
        2 * halo + _CELLS_OF_TEST_IMAGE * grid for halo, grid in zip(_halo_vox(family), family.grid_vox, strict=True)
    )
    return (1 if family.is_2d else z), y, x


def _spatial(shape: Shape3, family: NetworkFamily) -> tuple[int, ...]:
    return shape[1:] if family.is_2d else shape


def _as_tensor(maps: NDArray[np.float32], family: NetworkFamily) -> NDArray[np.float32]:
    """Return (1, C, [Z,] Y, X)."""
    return maps[None, :, 0] if family.is_2d else maps[None]


# ------------------------------------------------------------------------------------------------ the description


def _description(card: ModelCard, family: NetworkFamily, folder: Path) -> Plain:
    import torch

    version = str(torch.__version__).split("+")[0]
    weights: Plain = {"torchscript": {**_file(folder / _GRAPH), "pytorch_version": version}}
    if family.kind == "boundary":
        name, kwargs = described_network(family.to_plain())
        architecture = {"import_from": "pytorch3dunet.unet3d.model", "callable": name, "kwargs": kwargs}
        weights["torchscript"]["parent"] = "pytorch_state_dict"
        weights["pytorch_state_dict"] = {
            **_file(folder / _STATE),
            "pytorch_version": version,
            "architecture": architecture,
        }
    attached = {card.weights.file, *(file.file for file in card.files)}
    return {
        "type": "model",
        "format_version": _FORMAT_VERSION,
        "name": _name(card),
        "description": _text(card.description),
        "authors": [{"name": _text(author.replace("/", "-"))} for author in card.authors],
        **_cited(card),
        **_licence(card),
        "tags": _tags(card),
        "covers": [_COVER],
        "documentation": _PAGE,
        "timestamp": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "inputs": [_input(card, family)],
        "outputs": [_output(card, family)],
        "weights": weights,
        "attachments": [_file(folder / file) for file in sorted(attached)],
        "config": own_config(card),
        "version": __version__,
    }


def _file(path: Path) -> Plain:
    return {"source": path.name, "sha256": describe_file(path).sha256}


def _name(card: ModelCard) -> str:
    name = " ".join(_FORBIDDEN_IN_NAMES.sub(" ", card.title).split())[:120]
    return name if len(name) >= 5 else f"Model {name or card.id}"


def _text(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= _LONGEST_TEXT else short[: _LONGEST_TEXT - 1] + "…"


def _cited(card: ModelCard) -> Plain:
    doi = card.doi or next(iter(re.findall(r"10\.\d{4,9}/[^\s,;]*\w", card.citation)), "")
    return {"cite": [{"text": card.citation or card.title, "doi": doi}]} if doi else {}


def _licence(card: ModelCard) -> Plain:
    from typing import get_args

    from bioimageio.spec.generic.v0_3 import DeprecatedLicenseId, LicenseId

    known = {str(name) for kind in (LicenseId, DeprecatedLicenseId) for name in _literals(kind, get_args)}
    wanted = card.licence.strip()
    return {"license": wanted} if wanted in known else {}


def _literals(kind: Any, get_args: Any) -> tuple[Any, ...]:
    """Return the words that a type of bioimageio.spec allows: it is a root model around a literal."""
    return tuple(get_args(kind.root_model.model_fields["root"].annotation))


def _tags(card: ModelCard) -> list[str]:
    words = [card.dimensionality.lower(), "unet", "segmentation", "pytorch", "plantseg"]
    for text in (card.segments, card.modality, card.organism, card.tissue):
        words += [part.strip().lower() for part in text.split(",") if part.strip()]
    return list(dict.fromkeys(words))


def _axes(card: ModelCard, family: NetworkFamily) -> list[tuple[str, int, Plain]]:
    """Return name, position in (Z, Y, X) and physical scale of each axis of space."""
    letters = [(name, i) for i, name in enumerate("zyx") if not (family.is_2d and name == "z")]
    if card.voxel_size_um is None:
        return [(name, i, {}) for name, i in letters]
    return [(name, i, {"unit": "micrometer", "scale": _exact(card.voxel_size_um[i])}) for name, i in letters]


def _exact(scale: float) -> float:
    """Return a scale by which sizes can be multiplied and divided without a trace of rounding.

    Readers compute the size of the answer as size * scale / scale, and cut off what is behind the point.

    >>> 48 * 0.2 / 0.2 == 48, 48 * _exact(0.2) / _exact(0.2) == 48, round(_exact(0.2), 7)
    (False, True, 0.2)
    """
    sizes = np.arange(1.0, _LARGEST_SIZE)
    return scale if bool((sizes * scale / scale == sizes).all()) else float(np.float32(scale))


def _batch(family: NetworkFamily) -> Plain:
    # A frame is drawn for one image at a time.
    return {"type": "batch", **({"size": 1} if family.frame_vox is not None else {})}


def _input(card: ModelCard, family: NetworkFamily) -> Plain:
    least, grid = _least_vox(family), family.grid_vox
    sizes = [n if family.frame_vox is not None else {"min": n, "step": g} for n, g in zip(least, grid, strict=True)]
    names = _distinct([channel.name for channel in card.inputs])
    return {
        "id": "image",
        "description": "Grey values, of any range",
        "axes": [
            _batch(family),
            {"type": "channel", "channel_names": names},
            *({"type": "space", "id": name, "size": sizes[i], **scale} for name, i, scale in _axes(card, family)),
        ],
        "data": {"type": "float32"},
        "test_tensor": {"source": _TEST_INPUT},
        "sample_tensor": {"source": _SAMPLE_INPUT},
        "preprocessing": described_normalisation(card.normalisation, is_2d=family.is_2d),
    }


def _output(card: ModelCard, family: NetworkFamily) -> Plain:
    halo = _halo_vox(family)
    channels = _channel_names(family)
    bounded = all(output.kind in (Kind.BOUNDARY, Kind.FOREGROUND, Kind.NUCLEI, Kind.RAW) for output in family.outputs)
    data = {"type": "float32", **({"range": [0.0, 1.0]} if bounded else {})}
    return {
        "id": "maps",
        "description": _text(", ".join(f"{output.name} ({output.kind.value})" for output in family.outputs))[:128],
        "axes": [
            _batch(family),
            {"type": "channel", "channel_names": channels},
            *(
                {
                    "type": "space",
                    "id": name,
                    "size": {"tensor_id": "image", "axis_id": name},
                    **({"halo": halo[i]} if halo[i] else {}),
                    **scale,
                }
                for name, i, scale in _axes(card, family)
            ),
        ],
        "data": data,
        "test_tensor": {"source": _TEST_OUTPUT},
        "sample_tensor": {"source": _SAMPLE_OUTPUT},
    }


def _channel_names(family: NetworkFamily) -> list[str]:
    """Return a name for each channel of the answer."""
    found: dict[int, str] = {}
    for output in family.outputs:
        for number, channel in enumerate(output.channels, start=1):
            found[channel] = output.name if len(output.channels) == 1 else f"{output.name}-{number}"
    return [found[channel] for channel in sorted(found)]


def _distinct(names: list[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} {i + 1}" for i, name in enumerate(names)]


def _check(content: Mapping[str, Any], folder: Path) -> None:
    """Write the description, and let bioimageio.spec check it and every file that it names.

    Raises
    ------
    InputError
        With what it says is wrong.
    """
    from bioimageio.spec import InvalidDescr, ValidationContext, build_description

    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=100)
    (folder / _DESCRIPTION).write_text(text, encoding="utf-8")
    context = ValidationContext(root=folder, file_name=_DESCRIPTION, perform_io_checks=True, log_warnings=False)
    with warnings.catch_warnings(), context:
        warnings.simplefilter("ignore", ResourceWarning)
        described = build_description(yaml.safe_load(text), context=context)
        reason = described.get_reason() if isinstance(described, InvalidDescr) else ""
        # It leaves the files open that it reads, and Windows removes no folder with open files.
        del described
        gc.collect()
    if reason:
        raise InputError(f"The model cannot be described as BioImage.IO wants it: {reason}")


def _pack(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted(folder.iterdir()):
            if path.name != CARD_FILE:
                archive.write(path, path.name)
