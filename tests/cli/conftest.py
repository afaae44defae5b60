"""Small steps and images, so that the command line is tested without networks or graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from plantseg_app.core.context import Context
from plantseg_app.core.fields import Fraction, PerAxis, SigmaVox
from plantseg_app.core.step import STEPS, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError
from plantseg_app.io import write_volume

RUNS: list[str] = []
HOOKS: dict[str, object] = {}


def _make_steps() -> None:
    class Boundary(Step):
        """Makes a map."""

        id = "test-map"
        title = "Map"
        reads = {"image": Port((Kind.RAW,), "The image.")}
        makes = Kind.BOUNDARY
        model: str = Field("membranes-3d", description="The network.")
        sigma_seeds: SigmaVox = Field(2.0, description="Smoothing of the seeds, in % of nothing.")

        def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
            RUNS.append("map")
            context.message("a note")
            data = inputs["image"].data.astype(np.float32)
            return inputs["image"].replace(data=data / max(1.0, float(data.max())), kind=Kind.BOUNDARY)

    class Cells(Step):
        """Makes cells."""

        id = "test-cells"
        title = "Cells"
        reads = {
            "boundary": Port((Kind.BOUNDARY,), "The map."),
            "nuclei": Port((Kind.NUCLEI,), "The nuclei.", optional=True),
        }
        makes = Kind.LABELS
        beta: Fraction = Field(0.6, description="Bias.")
        mode: Literal["blocks", "one"] = Field("blocks", description="How.")
        tile: PerAxis[int] | None = Field(None, description="Tile.")
        is_strict: bool = Field(False, description="Refuse.")
        axes: str = Field("", description="Clashes with a common option.")

        def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
            RUNS.append("cells")
            for _ in context.track(range(3), "Label"):
                hook = HOOKS.get("item")
                if callable(hook):
                    hook()
            boundary = inputs["boundary"]
            if self.is_strict or "bad" in boundary.name:
                raise InputError("the map is too strict.")
            if "defect" in boundary.name:
                raise ZeroDivisionError("division by zero")
            labels = np.ones(boundary.data.shape, np.uint32)
            if self.mode == "blocks":
                labels[:, :, boundary.data.shape[2] // 2 :] = 2
            if "nuclei" in inputs:
                labels += 10
            return boundary.replace(data=labels, kind=Kind.LABELS)

    class Flip(Step):
        """Turns an image or labels around."""

        id = "test-flip"
        title = "Flip"
        reads = {"image": Port((Kind.RAW, Kind.LABELS), "An image.")}
        makes = SameAs("image")

        def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
            return inputs["image"].replace(data=inputs["image"].data[:, ::-1].copy())


WORKFLOW = """
workflow: 1
name: test-workflow
title: Test
description: For tests.
sources:
  image: raw
  nuclei: {kind: nuclei, optional: true}
nodes:
  map: {step: test-map, inputs: {image: image}}
  cells: {step: test-cells, inputs: {boundary: map, nuclei: nuclei}}
outputs: [cells]
"""


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    before = set(STEPS._entries)
    _make_steps()
    RUNS.clear()
    HOOKS.clear()
    monkeypatch.setenv("PLANTSEG_APP_HOME", str(tmp_path / "home"))
    yield
    # Real steps that a test was the first to import stay: they would not be imported again.
    for name in [name for name in STEPS._entries if name.startswith("test-") and name not in before]:
        del STEPS._entries[name]


@pytest.fixture
def runs() -> list[str]:
    return RUNS


@pytest.fixture
def hooks() -> dict[str, object]:
    return HOOKS


@pytest.fixture
def workflow_file(tmp_path: Path) -> Path:
    path = tmp_path / "workflow.yaml"
    path.write_text(WORKFLOW, encoding="utf-8")
    return path


@pytest.fixture
def raw() -> Volume:
    data = np.arange(4 * 6 * 8, dtype=np.uint8).reshape(4, 6, 8)
    return Volume(data, Kind.RAW, (0.3, 0.1, 0.1), name="raw")


@pytest.fixture
def image(tmp_path: Path, raw: Volume) -> Path:
    return write_volume(tmp_path / "stack.tif", raw)


@pytest.fixture
def folder(tmp_path: Path, raw: Volume) -> Path:
    """Three images, the second of which makes the work fail."""
    for name in ("a_good", "b_bad", "c_good"):
        write_volume(tmp_path / "images" / f"{name}.tif", raw)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"
