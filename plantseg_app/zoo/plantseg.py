"""Models of PlantSeg and pytorch-3dunet: a checkpoint and the training file beside it become a card and safe weights.

Nothing in the checkpoint is run: of a pickle only its tensors are taken, and one that holds more is refused. What the
training file says of the network must fit the weights to the last shape.

PlantSeg keeps for each model a folder with ``config_train.yml``, ``best_checkpoint.pytorch`` and
``last_checkpoint.pytorch``, and voxel sizes in ``custom_zoo.yaml`` beside these folders; all of it is read as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from plantseg_app.errors import InputError
from plantseg_app.networks.pytorch3dunet import network_settings
from plantseg_app.zoo.card import Normalisation
from plantseg_app.zoo.converted import (
    NOT_STATED,
    WEIGHTS_FILE,
    as_id,
    checked_outputs,
    facts_of,
    read_description,
    write_card,
)
from plantseg_app.zoo.offers import Offer
from plantseg_app.zoo.questions import NO_ANSWERS, Answers

CONFIG_FILE = "config_train.yml"
BEST_CHECKPOINT, LAST_CHECKPOINT = "best_checkpoint.pytorch", "last_checkpoint.pytorch"
CUSTOM_ZOO_FILE = "custom_zoo.yaml"
_SUFFIX = ".pytorch"
_STRUCTURES = {"boundaries": "cell boundaries", "nuclei": "nuclei"}


def is_plantseg(source: Path) -> bool:
    """Return whether a folder, or a checkpoint with its training file beside it, is a model of PlantSeg."""
    if source.is_dir():
        return (source / CONFIG_FILE).is_file() and any(source.glob(f"*{_SUFFIX}"))
    return source.suffix == _SUFFIX and (source.parent / CONFIG_FILE).is_file()


def convert_plantseg(source: Path, target: Path, offer: Offer | None = None, answers: Answers = NO_ANSWERS) -> None:
    """Make a model in the empty folder `target`; `source` as in `is_plantseg`.

    Raises
    ------
    InputError
        If the checkpoint is damaged, holds more than tensors, is of a network that this program does not have, or does
        not fit the training file.
    """
    from plantseg_app.networks.boundary.rebuild import rebuild
    from plantseg_app.networks.weights import read_weights, save_weights

    checkpoint = _checkpoint(source)
    config_path = checkpoint.parent / CONFIG_FILE
    config = read_description(config_path)
    record = facts_of(offer) if offer is not None else _own_record(checkpoint.parent)
    settings = _settings(config, config_path, record, answers.outputs)
    family, network = rebuild(settings, read_weights(checkpoint), str(config_path), str(checkpoint))
    save_weights(network, target / WEIGHTS_FILE)
    facts: dict[str, Any] = {
        "id": as_id(checkpoint.parent.name),
        "title": checkpoint.parent.name,
        "tile_vox": _patch(config),
        "training": f"By PlantSeg or pytorch-3dunet; converted from {checkpoint.name} and {CONFIG_FILE}.",
        **record,
    }
    try:
        normalisation = _normalisation(config, family.in_channels)
    except (ValidationError, ArithmeticError, TypeError) as error:
        raise InputError(f"{config_path} does not say in numbers how grey values are prepared: {error}") from error
    write_card(target, facts, family, normalisation, WEIGHTS_FILE)


def _checkpoint(source: Path) -> Path:
    if source.is_file():
        return source
    for name in (BEST_CHECKPOINT, LAST_CHECKPOINT):
        if (source / name).is_file():
            return source / name
    found = sorted(source.glob(f"*{_SUFFIX}"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found)
        raise InputError(
            f"{source} holds several checkpoints ({names}) and none is called {BEST_CHECKPOINT}; name one."
        )
    return found[0]


def _settings(
    config: Mapping[str, Any], path: Path, record: Mapping[str, Any], said: tuple[str, ...]
) -> dict[str, Any]:
    """Return the settings of the boundary family for the network of a training file."""
    from plantseg_app.networks.boundary.family import Meaning

    model = config.get("model")
    if not isinstance(model, Mapping):
        raise InputError(f'{path} has no section "model", which says how the network is built.')
    found = network_settings({str(key): value for key, value in model.items()})
    if found.unknown:
        raise InputError(f"The network of {path} has what this program does not know: {', '.join(found.unknown)}.")
    settings = found.settings
    channels = len(settings["predicts"]) if isinstance(settings["predicts"], list) else 0
    meanings = get_args(Meaning)
    names = [entry.get("name") for entry in record.get("outputs") or ()]
    if said:
        settings["predicts"] = checked_outputs(said, channels, meanings)
    elif len(names) == channels and all(name in meanings for name in names):
        settings["predicts"] = names
    elif channels == 1 and record.get("segments") == _STRUCTURES["nuclei"]:
        settings["predicts"] = ["nuclei"]
    elif channels == 2 and settings.get("exclusive"):
        settings["predicts"] = ["background", "foreground"]
    elif channels > 2:
        raise InputError(
            f"The network of {path} predicts {channels} channels, and nothing says what each one shows; this program "
            f"uses maps of {', '.join(meanings)}. Say so with --outputs."
        )
    return settings


def _own_record(folder: Path) -> dict[str, Any]:
    """Return what PlantSeg has noted about a person's own model, as plain facts; empty where it has not."""
    path = folder.parent / CUSTOM_ZOO_FILE
    if not path.is_file():
        return {}
    try:
        entry = read_description(path).get(folder.name)
    except InputError:
        # A list of other models, and the model itself is whole without it.
        return {}
    if not isinstance(entry, Mapping):
        return {}
    facts: dict[str, Any] = {"description": str(entry.get("description") or NOT_STATED)}
    if entry.get("modality"):
        facts["modality"] = str(entry["modality"])
    if entry.get("output_type") in _STRUCTURES:
        facts["segments"] = _STRUCTURES[entry["output_type"]]
    size = _three_numbers(entry.get("resolution"))
    # 1, 1, 1 is what PlantSeg writes where nobody said.
    if size is not None and min(size) > 0 and size != (1.0, 1.0, 1.0):
        facts["voxel_size_um"] = size
    return facts


def _patch(config: Mapping[str, Any]) -> list[int] | None:
    """Return the patch shape that it was trained on."""
    builder = _at(config, "loaders", "train", "slice_builder")
    numbers = _three_numbers(builder.get("patch_shape")) if isinstance(builder, Mapping) else None
    return [int(number) for number in numbers] if numbers is not None and min(numbers) >= 1 else None


def _normalisation(config: Mapping[str, Any], n_channels: int) -> Normalisation:
    """Return how the training prepared grey values; PlantSeg itself always does so by mean and standard deviation."""
    transforms = _at(config, "loaders", "train", "transformer", "raw")
    entries = [entry for entry in transforms if isinstance(entry, Mapping)] if isinstance(transforms, list) else []
    entry = next((entry for entry in entries if entry.get("name") in _NORMALISERS), {"name": "Standardize"})
    operations = _NORMALISERS[str(entry["name"])](entry)
    jointly = n_channels > 1 and not entry.get("channelwise", False)
    if not jointly and entry["name"] == "Standardize" and entry.get("mean") is None:
        return Normalisation(method="zscore")
    if not jointly and entry["name"] == "PercentileNormalizer":
        return Normalisation(method="percentile", low=operations[0]["low"], high=operations[0]["high"])
    if jointly and operations[0]["do"] in ("zero-mean-unit-variance", "scale-range"):
        operations[0]["jointly"] = True
    return Normalisation.model_validate({"method": "operations", "operations": operations})


def _standardize(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    if entry.get("mean") is None:
        return [{"do": "zero-mean-unit-variance", "epsilon": 0.0}]
    return [{"do": "fixed-zero-mean-unit-variance", "mean": [entry["mean"]], "std": [entry.get("std")]}]


def _percentiles(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"do": "scale-range", "low": entry.get("pmin", 1.0), "high": entry.get("pmax", 99.6), "epsilon": 1e-10}]


def _range(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    low, high = entry.get("min_value"), entry.get("max_value")
    if low is None or high is None:
        first: dict[str, Any] = {"do": "scale-range", "epsilon": 1e-10}
    else:
        first = {"do": "scale-linear", "gain": [1 / (high - low)], "offset": [-low / (high - low)]}
    if entry.get("norm01", False):
        return [first, {"do": "clip", "low": 0.0, "high": 1.0}]
    return [first, {"do": "scale-linear", "gain": [2.0], "offset": [-1.0]}, {"do": "clip", "low": -1.0, "high": 1.0}]


_NORMALISERS = {"Standardize": _standardize, "PercentileNormalizer": _percentiles, "Normalize": _range}


def _at(plain: Any, *keys: str) -> Any:
    """Return what lies at the end of a path of keys, or None."""
    for key in keys:
        plain = plain.get(key) if isinstance(plain, Mapping) else None
    return plain


def _three_numbers(value: Any) -> tuple[float, float, float] | None:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return None
    if not all(isinstance(number, (int, float)) for number in value):
        return None
    z, y, x = (float(number) for number in value)
    return z, y, x
