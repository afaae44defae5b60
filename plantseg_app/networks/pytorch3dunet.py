"""Networks as pytorch-3dunet and PlantSeg describe them, in the settings of this program.

Knows the section ``model`` of their training files alone; files, weights and everything about training are not its
business.

>>> found = network_settings({"name": "UNet2D", "in_channels": 1, "out_channels": 2, "f_maps": 16, "num_levels": 3})
>>> found.settings["feature_maps"], found.settings["predicts"], found.unknown
([16, 32, 64], ['nuclei', 'boundary'], [])
>>> network_settings({"name": "UNet2D", "pool_kernel_size": 3}).unknown
['model.pool_kernel_size=3']
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

Plain = dict[str, Any]
Translations = Mapping[str, Callable[[Any], Plain | None]]

NETWORKS = {
    "UNet3D": ("3D", False),
    "UNet2D": ("2D", False),
    "ResidualUNet3D": ("3D", True),
    "ResidualUNet2D": ("2D", True),
}
"""Dimensions, and whether residual, by the name of the class."""

_MAPS, _LEVELS, _RESIDUAL_LEVELS = 64, 4, 5
_USUAL_MEANINGS = {1: ["boundary"], 2: ["nuclei", "boundary"]}


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """A described network.

    Attributes
    ----------
    settings
        Of the boundary family, its kind included; what the channels mean is the usual.
    unknown
        What of the description has no counterpart here.
    """

    settings: Plain
    unknown: list[str]


def network_settings(model: Mapping[str, Any]) -> NetworkSettings:
    """Translate the section ``model`` of a training file, with the defaults that pytorch-3dunet has."""
    found: Plain = {}
    unknown = []
    for key, value in model.items():
        made = _MODEL[key](value) if key in _MODEL else None
        if made is None:
            unknown.append(f"model.{key}={value}")
        else:
            found |= made
    maps = found.pop("f_maps", _MAPS)
    levels = found.pop("num_levels", _RESIDUAL_LEVELS if found.get("residual") else _LEVELS)
    channels = found.pop("out_channels", 1)
    if isinstance(maps, int) and isinstance(levels, int):
        maps = [maps * 2**level for level in range(min(levels, 32))]
    predicts = _USUAL_MEANINGS.get(channels, ["boundary"] * channels if isinstance(channels, int) else channels)
    return NetworkSettings(
        {"kind": "boundary", "layer_order": "gcr", "feature_maps": maps, "predicts": predicts, **found}, unknown
    )


def class_name(*, is_2d: bool, is_residual: bool) -> str:
    """Return the name that a network has in pytorch-3dunet."""
    dimensions = "2D" if is_2d else "3D"
    return next(name for name, what in NETWORKS.items() if what == (dimensions, is_residual))


def described_network(settings: Mapping[str, Any]) -> tuple[str, Plain]:
    """Return the class and its arguments that build in pytorch-3dunet what these settings of the boundary family do."""
    name = class_name(is_2d=settings["dimensions"] == "2D", is_residual=settings["residual"])
    return name, {
        "in_channels": settings["image_channels"],
        "out_channels": len(settings["predicts"]),
        "final_sigmoid": not settings["exclusive"],
        "f_maps": list(settings["feature_maps"]),
        "layer_order": settings["layer_order"],
        "num_groups": settings["norm_groups"],
        "upsample": settings["upsampling"],
        "dropout_prob": settings["dropout_probability"],
        "is_segmentation": True,
    }


def as_setting(*path: str) -> Callable[[Any], Plain]:
    """Return a translation that keeps the value and puts it under another, perhaps nested, name."""

    def make(value: Any) -> Plain:
        for part in reversed(path):
            value = {part: value}
        return dict(value)

    return make


def only(*allowed: Any) -> Callable[[Any], Plain | None]:
    """Return a translation for what is always the same here: other values are unknown."""
    return lambda value: {} if value in allowed else None


_MODEL: Translations = {
    "name": lambda name: (
        {"dimensions": NETWORKS[name][0], "residual": NETWORKS[name][1]} if name in list(NETWORKS) else None
    ),
    "in_channels": as_setting("image_channels"),
    "out_channels": as_setting("out_channels"),
    "f_maps": as_setting("f_maps"),
    "num_levels": as_setting("num_levels"),
    "layer_order": as_setting("layer_order"),
    "num_groups": as_setting("norm_groups"),
    "upsample": as_setting("upsampling"),
    "dropout_prob": as_setting("dropout_probability"),
    "final_sigmoid": lambda value: {"exclusive": not value},
    "is_segmentation": only(True),
    "conv_padding": only(1, [1, 1, 1], [1, 1]),
    "conv_upscale": only(2),
    "conv_kernel_size": only(3),
    "pool_kernel_size": only(2),
    "is3d": lambda _value: {},
}
