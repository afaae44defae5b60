"""Packages that this program has written: their card and weights lie within, so that they come back as they were."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from plantseg_app.errors import InputError
from plantseg_app.zoo.bioimageio.package import Package
from plantseg_app.zoo.bioimageio.tensors import describe_tensors, test_images
from plantseg_app.zoo.card import CARD_FILE, FORMAT_VERSION, ModelCard
from plantseg_app.zoo.catalogue import InstalledModel
from plantseg_app.zoo.converted import describe_file
from plantseg_app.zoo.load import load_network
from plantseg_app.zoo.trial import INPUT_FILE, OUTPUT_FILE, compare, predict_whole, write_trial

CONFIG_KEY = "plantseg_app"
_SAFE = ".safetensors"


def own_config(card: ModelCard) -> dict[str, Any]:
    """Return what a description keeps of a card, so that `convert_own` finds it again."""
    return {CONFIG_KEY: {"card": {"card": FORMAT_VERSION, **card.model_dump(mode="json")}}}


def is_own(package: Package) -> bool:
    """Return whether a package was written by this program and holds the weights of its card."""
    card = _card(package)
    if card is None:
        return False
    weights = card.get("weights")
    name = weights.get("file") if isinstance(weights, Mapping) else None
    return isinstance(name, str) and name.endswith(_SAFE) and package.find(name) is not None


def convert_own(package: Package, target: Path) -> None:
    """Make the model of the card and the files that it lists, and prove it on the test image of the package.

    Raises
    ------
    InputError
        If the card or a file is damaged or missing, or the model makes something else than promised.
    """
    card = ModelCard.from_yaml(yaml.safe_dump(_card(package)), "The card in the package")
    for file in (card.weights, *card.files):
        path = package.find(file.file)
        if path is None:
            raise InputError(f"The file {file.file} of the card is not in the package.")
        shutil.copyfile(path, target / file.file)
    images = test_images(package, describe_tensors(package.model))
    if images is not None:
        image, expected = images
        model = InstalledModel(card, target)
        trial = compare(predict_whole(load_network(model), card.network_family(), image, card.normalisation), expected)
        if not trial.passed:
            raise InputError(
                "The model makes something else of its test image than it did where the package was written (by up to "
                f"{trial.largest_difference:.2g})."
            )
        write_trial(target, image, expected)
        kept = tuple(file for file in card.files if file.file not in (INPUT_FILE, OUTPUT_FILE))
        added = tuple(describe_file(target / name) for name in (INPUT_FILE, OUTPUT_FILE))
        card = card.model_copy(update={"files": kept + added})
    (target / CARD_FILE).write_text(card.to_yaml(), encoding="utf-8")


def _card(package: Package) -> Mapping[str, Any] | None:
    config = package.raw.get("config")
    own = config.get(CONFIG_KEY) if isinstance(config, Mapping) else None
    card = own.get("card") if isinstance(own, Mapping) else None
    return card if isinstance(card, Mapping) else None
