"""Reads the training files that people already have: those of pytorch-3dunet and of PlantSeg.

What has a counterpart here is translated, what is understood and not needed is skipped, and everything else is
refused with its name, so that nobody trains something else than the file says.

>>> plain = translate({
...     "model": {"name": "UNet3D", "in_channels": 1, "out_channels": 1, "f_maps": 16, "layer_order": "bcr"},
...     "loss": {"name": "BCEDiceLoss"}, "trainer": {"checkpoint_dir": "out", "max_num_iterations": 100},
...     "loaders": {"train": {"file_paths": ["a.h5"]}, "val": {"file_paths": ["b.h5"]}}})
>>> plain["family"]["feature_maps"], plain["loss"]["name"], plain["stopping"]["steps"]
([16, 32, 64, 128], 'bce-dice', 100)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from plantseg_app.errors import RequestError
from plantseg_app.networks.pytorch3dunet import Plain, Translations, as_setting, network_settings, only

_LOSSES = {
    "BCEWithLogitsLoss": "bce",
    "DiceLoss": "dice",
    "BCEDiceLoss": "bce-dice",
    "GeneralizedDiceLoss": "generalised-dice",
    "CrossEntropyLoss": "cross-entropy",
    "MSELoss": "mse",
    "L1Loss": "l1",
    "SmoothL1Loss": "smooth-l1",
}
_OPTIMISERS = {"Adam": "adam", "AdamW": "adamw", "SGD": "sgd"}
# Understood, and either the way it always is here or without a meaning here.
_SKIPPED = {
    "loss": {"skip_last_target", "squeeze_channel", "normalization"},
    "optimizer": set(),
    "lr_scheduler": {"mode", "threshold", "verbose"},
    "trainer": {
        "resume", "log_after_iters", "eval_score_higher_is_better", "validate_iters", "max_num_epochs", "epochs",
        "iters", "skip_train_validation", "max_val_images", "tensorboard_formatter", "best_eval_score",
    },
    "loaders": {"dataset", "output_dir", "global_normalization", "test"},
    "phase": {"slice_builder", "transformer", "file_paths"},
    "slice_builder": {"name", "stride_shape", "halo_shape", "skip_shape_check"},
    "top": {"device", "manual_seed", "model_path", "eval_metric", "predictor", "class_weights"},
}  # fmt: skip


def is_pytorch3dunet(plain: Mapping[str, Any]) -> bool:
    """Return whether a mapping is a training file of pytorch-3dunet rather than one of this program."""
    return "loaders" in plain and "model" in plain


def translate(plain: Mapping[str, Any], where: str = "The training file") -> Plain:
    """Return the settings of this program that mean the same.

    Raises
    ------
    RequestError
        Listing every entry that has no counterpart.
    """
    reader = _Reader()
    loaders = dict(plain.get("loaders") or {})
    network = network_settings(dict(plain.get("model") or {}))
    reader.unknown += network.unknown
    # What the network says is judged by the loss; channels that exclude each other are a matter of the loss, too.
    network.settings.pop("exclusive", None)
    result: Plain = {
        "output": "trained-model",
        "family": network.settings,
        "loss": reader.section("loss", plain.get("loss"), _LOSS),
        "optimiser": {"name": "adam", "average": 0.0} | reader.section("optimizer", plain.get("optimizer"), _OPTIMISER),
        "schedule": {"name": "constant", "warmup_steps": 0}
        | reader.section("lr_scheduler", plain.get("lr_scheduler"), _SCHEDULE),
    }
    _merge(result, reader.section("trainer", plain.get("trainer"), _TRAINER))
    _merge(result, reader.loaders(loaders))
    ignore = (plain.get("loss") or {}).get("ignore_index")
    if ignore is not None:
        result["data"]["ignore_label"] = ignore
    if "manual_seed" in plain:
        result["seed"] = plain["manual_seed"]
    if str(plain.get("device", "")) in {"cpu", "cuda", "mps"}:
        result["device"] = plain["device"]
    known = {"model", "loss", "optimizer", "lr_scheduler", "trainer", "loaders"} | _SKIPPED["top"]
    reader.unknown += [str(key) for key in plain if key not in known]
    if reader.unknown:
        raise RequestError(
            f"{where} has entries of pytorch-3dunet that this program does not have: {', '.join(reader.unknown)}. "
            "Remove them, or write the settings anew (plantseg-app train --example prints a start)."
        )
    return result


def _merge(into: Plain, new: Plain) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


class _Reader:
    """Translates section by section and remembers what it did not know."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def section(self, name: str, plain: Any, known: Translations) -> Plain:
        result: Plain = {}
        for key, value in dict(plain or {}).items():
            if key in _SKIPPED.get(name, set()):
                continue
            made = known[key](value) if key in known else None
            if made is None:
                self.unknown.append(f"{name}.{key}={value}")
            else:
                _merge(result, made)
        return result

    def loaders(self, plain: Plain) -> Plain:
        names = {
            "image_dataset": _first(plain.pop("raw_internal_path", None)),
            "labels_dataset": _first(plain.pop("label_internal_path", None)),
        }
        phases = {key: dict(plain.pop(key, None) or {}) for key in ("train", "val")}
        result: Plain = {"data": {}, "patches": {}}
        for key, target in (("train", "train"), ("val", "validation")):
            paths = phases[key].get("file_paths") or []
            paths = [paths] if isinstance(paths, str) else paths
            result["data"][target] = [{"path": path, **{k: v for k, v in names.items() if v}} for path in paths]
            self.unknown += [f"loaders.{key}.{k}" for k in phases[key] if k not in _SKIPPED["phase"]]
        builder = dict(phases["train"].get("slice_builder") or {})
        _merge(result, self.section("slice_builder", builder, _PATCHES))
        transforms = dict(phases["train"].get("transformer") or {})
        _merge(result, self.transforms(transforms))
        _merge(result, self.section("loaders", plain, _LOADERS))
        return result

    def transforms(self, plain: Plain) -> Plain:
        augment: Plain = dict.fromkeys(
            ("flip", "rotate", "scale", "elastic", "gamma", "contrast", "blur", "blur_z", "gaussian_noise",
             "poisson_noise", "slice_jitter"), 0.0) | {"rot90": False}  # fmt: skip
        result: Plain = {"augment": augment}
        for part in ("raw", "label"):
            for entry in plain.pop(part, None) or []:
                name = str(entry.get("name"))
                if name not in _TRANSFORMS:
                    self.unknown.append(f"transformer.{part}.{name}")
                else:
                    _merge(result, _TRANSFORMS[name](entry))
        self.unknown += [f"transformer.{key}" for key in plain]
        return result


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _named(table: Mapping[str, Any], key: str) -> Callable[[Any], Plain | None]:
    return lambda value: {key: table[value]} if value in table else None


_LOSS: Translations = {
    "name": _named(_LOSSES, "name"),
    "ignore_index": lambda _value: {},
    "weight": lambda value: {"channel_weights": value} if value is not None else {},
    "pos_weight": lambda value: {"positive_weight": _first(value)} if value is not None else {},
    # BCEDiceLoss is bce + alpha * dice.
    "alpha": as_setting("dice_weight"),
}
_OPTIMISER: Translations = {
    "name": _named(_OPTIMISERS, "name"),
    "learning_rate": as_setting("rate"),
    "weight_decay": as_setting("weight_decay"),
    "betas": as_setting("betas"),
    "momentum": as_setting("momentum"),
}
_SCHEDULE: Translations = {
    "name": _named({"ReduceLROnPlateau": "plateau", "CosineAnnealingLR": "cosine"}, "name"),
    "factor": as_setting("factor"),
    "patience": as_setting("patience"),
    "T_max": lambda _value: {},
}
_TRAINER: Translations = {
    "checkpoint_dir": as_setting("output"),
    "pre_trained": lambda value: {"start_from": value} if value else {},
    "validate_after_iters": as_setting("validation", "every"),
    "max_num_iterations": as_setting("stopping", "steps"),
}
_PATCHES: Translations = {
    "patch_shape": as_setting("patches", "shape_vox"),
    "threshold": as_setting("patches", "min_labelled"),
    "slack_acceptance": as_setting("patches", "anywhere"),
    "ignore_index": lambda value: {"data": {"ignore_label": value}} if value is not None else {},
}
_LOADERS: Translations = {
    "batch_size": as_setting("patches", "batch"),
    "num_workers": lambda value: {"patches": {"workers": max(1, int(value))}},
    "random_scale": only(0, None),
    "random_scale_probability": lambda _value: {},
}


def _probability(entry: Mapping[str, Any], default: float = 0.1) -> float:
    return float(entry.get("execution_probability", default))


_TRANSFORMS: dict[str, Callable[[Mapping[str, Any]], Plain]] = {
    "Standardize": lambda _e: {"data": {"normalisation": {"method": "zscore"}}},
    "PercentileNormalizer": lambda e: {
        "data": {"normalisation": {"method": "percentile", "low": e.get("pmin", 1), "high": e.get("pmax", 99.6)}}
    },
    "Normalize": lambda _e: {"data": {"normalisation": {"method": "percentile", "low": 0, "high": 100}}},
    "RandomFlip": lambda e: {"augment": {"flip": e.get("axis_prob", 0.5)}},
    "RandomRotate90": lambda _e: {"augment": {"rot90": True}},
    "RandomRotate": lambda e: {"augment": {"rotate": 1.0, "rotate_deg": e.get("angle_spectrum", 30)}},
    "RandomContrast": lambda e: {"augment": {"contrast": _probability(e)}},
    "RandomGammaCorrection": lambda e: {"augment": {"gamma": _probability(e)}},
    "ElasticDeformation": lambda e: {"augment": {"elastic": _probability(e)}},
    "AdditiveGaussianNoise": lambda e: {"augment": {"gaussian_noise": _probability(e)}},
    "AdditivePoissonNoise": lambda e: {"augment": {"poisson_noise": _probability(e)}},
    "GaussianBlur3D": lambda e: {"augment": {"blur": _probability(e, 0.5)}},
    "StandardLabelToBoundary": lambda e: (
        {"family": {"predicts": ["nuclei", "boundary"]}} if e.get("foreground") else {}
    ),
    "BlobsToMask": lambda _e: {"family": {"predicts": ["nuclei"]}},
    "ToTensor": lambda _e: {},
    "LabelToTensor": lambda _e: {},
    "Relabel": lambda _e: {},
    "Identity": lambda _e: {},
}
