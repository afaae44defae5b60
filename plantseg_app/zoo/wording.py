"""Facts of models in words for people, the same on the command line and in the window.

>>> network_text({"kind": "boundary", "feature_maps": [16, 32]})
'boundary, 16-32 feature maps'
>>> grey_values_text(Normalisation(method="percentile", low=1, high=99))
'percentiles 1 and 99 become 0 and 1'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plantseg_app.zoo.card import FetchedFile, ModelCard, Normalisation
from plantseg_app.zoo.facts import ModelFacts

_RUNTIMES = {"torchscript": "TorchScript", "onnx": "ONNX"}


def objects_text(card: ModelFacts) -> str:
    """Return how large the objects were that it was trained on; "" when nobody said."""
    sizes = []
    if card.object_diameter_um is not None:
        sizes.append(f"about {card.object_diameter_um:g} µm")
    if card.object_diameter_vox is not None:
        smallest, largest = card.object_diameter_vox
        sizes.append(f"{smallest:g} to {largest:g} voxels of the model's scale")
    return f"{', '.join(sizes)} across" if sizes else ""


def tile_text(card: ModelFacts) -> str:
    """Return the patches that it was trained on and the context that a tile needs; "" when nobody said."""
    shapes = (("trained on", card.tile_vox), ("context", card.halo_vox))
    return ", ".join(f"{word} {_by(shape)} voxels (Z, Y, X)" for word, shape in shapes if shape is not None)


def network_text(family: Mapping[str, Any]) -> str:
    """Return of which family the network is, and how wide."""
    layout, maps = family.get("layout"), family.get("feature_maps")
    if isinstance(layout, Mapping):
        runtime = _RUNTIMES.get(str(layout.get("runtime")), "")
        return f"its own graph ({runtime}), which this program has looked through but does not know"
    width = f", {'-'.join(map(str, maps))} feature maps" if isinstance(maps, Sequence) else ""
    return f"{family['kind']}{width}"


def grey_values_text(normalisation: Normalisation) -> str:
    """Return how grey values are prepared."""
    match normalisation.method:
        case "percentile":
            return f"percentiles {normalisation.low:g} and {normalisation.high:g} become 0 and 1"
        case "zscore":
            return "mean 0, standard deviation 1"
        case "operations":
            return ", ".join(operation.do.replace("-", " ") for operation in normalisation.operations)
    return "as they are"


def fetched_text(fetched: Sequence[FetchedFile]) -> str:
    """Return where the files came from, and what their checksums were compared with; "" where they were not fetched."""
    if not fetched:
        return ""
    pinned = any(file.checksum == "first download" for file in fetched)
    how = "its source publishes no checksums; these were held on to" if pinned else "checked against what is published"
    return f"{fetched[0].url} ({how})"


def files_of(card: ModelCard) -> list[tuple[str, int, str]]:
    """Return name, size in bytes and checksum of each file that must be whole, the weights first."""
    return [(file.file, file.size_bytes, file.sha256) for file in (card.weights, *card.files)]


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
