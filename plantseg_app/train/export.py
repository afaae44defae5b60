"""A finished training as a model folder: card, weights, settings, history and learning curve."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import math
import platform
from pathlib import Path
from typing import Any

from plantseg_app import __version__
from plantseg_app.io.atomic import replacing
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.weights import put_weights, save_weights
from plantseg_app.train.checkpoint import load_checkpoint
from plantseg_app.train.curve import draw_curve
from plantseg_app.train.settings import TrainSettings
from plantseg_app.train.state import TrainingState
from plantseg_app.zoo.card import CARD_FILE, ModelCard, Weights
from plantseg_app.zoo.facts import DataSource, InputChannel, OutputMap, Score
from plantseg_app.zoo.library import id_of_name

WEIGHTS_FILE = "weights.safetensors"


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """How a training ended.

    Attributes
    ----------
    reason
        In words; ``"finished"`` and ``"cancelled"`` are two of them.
    step, best_step
        Steps done, and the step of the model.
    score, score_name
        Of the model on the validation stacks; NaN when it was never judged.
    model
        The model's folder; None when there was not one step.
    """

    reason: str
    step: int
    best_step: int
    score: float
    score_name: str
    model: Path | None


def export_model(
    settings: TrainSettings, family: NetworkFamily, state: TrainingState, best: Path, reason: str
) -> TrainResult:
    """Write the model folder `settings.output` from the best checkpoint.

    The card is written last: a folder with a card is whole.
    """
    score = next((row["score"] for row in state.history if row["step"] == state.best_step), math.nan)
    result = TrainResult(reason, state.step, state.best_step, score, state.task.score_name, None)
    if not best.is_file():
        return result
    folder = Path(settings.output)
    network = family.build()
    put_weights(network, load_checkpoint(best)["model"], str(best))
    save_weights(network, folder / WEIGHTS_FILE)
    write_text(folder / "settings.yaml", settings.to_yaml())
    write_text(folder / "history.csv", _as_csv(state.history))
    rows = [{key: value if math.isfinite(value) else None for key, value in row.items()} for row in state.history]
    write_text(folder / "history.json", json.dumps({"score": state.task.score_name, "rows": rows}, indent=1))
    if state.history:
        with replacing(folder / "learning_curve.png") as partial:
            draw_curve(state.history, state.task.score_name, state.best_step).save(partial, "PNG")
    card = make_card(settings, family, result, state.seconds, folder)
    write_text(folder / CARD_FILE, card.to_yaml())
    return dataclasses.replace(result, model=folder)


def make_card(
    settings: TrainSettings, family: NetworkFamily, result: TrainResult, seconds: float, folder: Path
) -> ModelCard:
    """Return the card of the model whose weights lie in `folder`."""
    wanted = settings.card
    weights = (folder / WEIGHTS_FILE).read_bytes()
    names = wanted.channels
    if len(names) != family.in_channels:
        names = tuple(f"channel {i + 1}" for i in range(family.in_channels))
    model_id = wanted.id or model_id_of(folder)
    dimensionality: Any = "2D" if family.is_2d else "3D"
    scores: tuple[Score, ...] = ()
    if math.isfinite(result.score):
        name = result.score_name.replace("-", "_")
        remark = "average precision at an IoU of 0.5" if name == "average_precision" else ""
        scores = (Score(data="validation stacks", metric=name, value=round(result.score, 4), remark=remark),)
    return ModelCard(
        id=model_id,
        title=wanted.title or model_id,
        description=wanted.description or f"A {family.title.lower()} trained with PlantSeg App.",
        family=family.to_plain(),
        dimensionality=dimensionality,
        segments=wanted.segments,
        modality=wanted.modality,
        organism=wanted.organism,
        tissue=wanted.tissue,
        inputs=tuple(InputChannel(name=name) for name in names),
        outputs=tuple(OutputMap(name=output.name, kind=output.kind) for output in family.outputs),
        voxel_size_um=settings.data.voxel_size_um,
        object_diameter_um=wanted.object_diameter_um,
        tile_vox=settings.patches.shape_vox,
        normalisation=settings.normalisation,
        weights=Weights(file=WEIGHTS_FILE, sha256=hashlib.sha256(weights).hexdigest(), size_bytes=len(weights)),
        workflow=wanted.workflow,
        licence=wanted.licence,
        authors=wanted.authors,
        citation=wanted.citation,
        doi=wanted.doi,
        data=_data_sources(settings),
        scores=scores,
        training=(
            f"PlantSeg App {__version__}, {result.best_step} of {result.step} steps ({result.reason}), "
            f"{seconds / 60:.1f} min on {platform.machine()}"
            + (f", started from {settings.start_from}" if settings.start_from else "")
            + "; settings.yaml holds the settings."
        ),
    )


def _data_sources(settings: TrainSettings) -> tuple[DataSource, ...]:
    wanted, data = settings.card, settings.data
    sources = []
    for seen_as, files in (("train", data.train), ("validation", data.validation)):
        names = ", ".join(Path(entry.path or entry.image).name for entry in files[:5])
        more = f" and {len(files) - 5} more" if len(files) > 5 else ""
        if names:
            sources.append(
                DataSource(name=names + more, seen_as=seen_as, licence=wanted.data_licence, provenance=wanted.data)
            )
    return tuple(sources)


def model_id_of(folder: Path) -> str:
    """Return an id made of a folder's name.

    >>> model_id_of(Path("runs/My Model (2)"))
    'my-model-2'
    """
    return id_of_name(folder.resolve().name) or "trained-model"


def write_text(path: Path, text: str) -> None:
    """Write a text file so that there is the old one or the new one."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _as_csv(history: list[dict[str, float]]) -> str:
    if not history:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
