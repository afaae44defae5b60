"""What a training has done so far, in small text files beside its checkpoints, so that it is found again after a crash.

``run/settings.yaml`` is written before the first step, ``run/validations.jsonl`` gets a line a validation. Reading
them needs neither torch nor the checkpoints. Trainings that lie outside the usual folder are remembered in a list.

>>> import tempfile
>>> from plantseg_app.train.settings import TrainSettings
>>> with tempfile.TemporaryDirectory() as folder:
...     settings = TrainSettings(output=f"{folder}/leaf", start_from="membranes-3d")
...     begin_journal(settings, resume=False)
...     note_validation(settings.output, {"step": 5, "loss": 0.5})
...     record = read_record(Path(settings.output))
...     record.name, record.rows, record.is_finished
('leaf', ({'step': 5, 'loss': 0.5},), False)
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from plantseg_app.errors import PlantSegError, RequestError
from plantseg_app.io.atomic import replacing
from plantseg_app.paths import trainings_dir
from plantseg_app.train.settings import TrainSettings
from plantseg_app.zoo.card import CARD_FILE

RUN_FOLDER = "run"
_SETTINGS, _VALIDATIONS, _ELSEWHERE = "settings.yaml", "validations.jsonl", "elsewhere.json"
_LAST_CHECKPOINT = "last.pt"


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """A training that was begun.

    Attributes
    ----------
    settings
        Of the training; `settings.output` is its folder.
    rows
        One mapping a validation, with step, train_loss, loss, score and score_name, in the order of the steps.
    has_checkpoint
        Whether it can go on from where it was; else it begins anew.
    is_finished
        Whether its model was written after its last checkpoint.
    """

    settings: TrainSettings
    rows: tuple[dict[str, Any], ...]
    has_checkpoint: bool
    is_finished: bool

    @property
    def name(self) -> str:
        """The name of its folder."""
        return Path(self.settings.output).name

    @property
    def is_complete(self) -> bool:
        """Whether it has a model and took all its steps, so that there is nothing to resume."""
        return self.is_finished and self.step >= self.settings.stopping.steps

    @property
    def step(self) -> int:
        """The step of the last validation."""
        return int(self.rows[-1]["step"]) if self.rows else 0


def begin_journal(settings: TrainSettings, resume: bool) -> None:
    """Write the settings beside the checkpoints that will come; without `resume` earlier lines are dropped.

    Raises
    ------
    RequestError
        If another training has left a checkpoint there, and this one is not its continuation.
    OSError
        If the folder may not be written to.
    """
    output = Path(settings.output)
    run = output / RUN_FOLDER
    if not resume and (run / _LAST_CHECKPOINT).exists():
        raise RequestError(f"{output} already holds a training; resume it, or give the new one another name.")
    run.mkdir(parents=True, exist_ok=True)
    with replacing(run / _SETTINGS) as partial:
        partial.write_text(settings.to_yaml(), encoding="utf-8")
    if not resume:
        (run / _VALIDATIONS).unlink(missing_ok=True)
    if output.resolve().parent != trainings_dir().resolve():
        _remember(output.resolve())


def note_validation(output: str | Path, row: Mapping[str, Any]) -> None:
    """Add the line of a validation."""
    with (Path(output) / RUN_FOLDER / _VALIDATIONS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(row)) + "\n")


def read_record(output: Path) -> TrainingRecord | None:
    """Return the training in the folder `output`, None when there is none or its settings cannot be read."""
    run = output / RUN_FOLDER
    try:
        settings = TrainSettings.from_yaml(run / _SETTINGS)
    except PlantSegError:
        return None
    # The folder may have been moved since.
    settings = settings.replace(output=str(output))
    checkpoint, card = _modified(run / _LAST_CHECKPOINT), _modified(output / CARD_FILE)
    finished = card > 0 and card >= checkpoint
    return TrainingRecord(settings, _rows(run / _VALIDATIONS), checkpoint > 0, finished)


def find_trainings() -> list[TrainingRecord]:
    """Return all trainings that were begun, the newest first."""
    folders = {folder.resolve() for folder in _folders(trainings_dir())} | set(_remembered())
    dated = sorted(((_modified(folder / RUN_FOLDER / _SETTINGS), folder) for folder in folders), reverse=True)
    records = (read_record(folder) for began, folder in dated if began)
    return [record for record in records if record is not None]


def _rows(path: Path) -> tuple[dict[str, Any], ...]:
    """Return a row a step: where a training went on from an earlier checkpoint the later line counts."""
    rows: dict[int, dict[str, Any]] = {}
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            # A line that was cut short by a crash is one validation less.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                rows[int(row["step"])] = row
    return tuple(rows[step] for step in sorted(rows))


def _folders(parent: Path) -> Iterable[Path]:
    try:
        return [entry for entry in parent.iterdir() if entry.is_dir()]
    except OSError:
        return []


def _remember(folder: Path) -> None:
    known = [folder, *(other for other in _remembered() if other != folder)]
    trainings_dir().mkdir(parents=True, exist_ok=True)
    with replacing(trainings_dir() / _ELSEWHERE) as partial:
        partial.write_text(json.dumps([str(path) for path in known if path.is_dir()]), encoding="utf-8")


def _remembered() -> list[Path]:
    try:
        listed = json.loads((trainings_dir() / _ELSEWHERE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [Path(path) for path in listed if isinstance(path, str)] if isinstance(listed, list) else []


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
