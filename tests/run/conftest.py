"""Small steps that count how often they run, and wait or fail when told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from plantseg_app.core.context import Context
from plantseg_app.core.step import STEPS, Field, Port, Step
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import InputError

RUNS: list[str] = []
GATE = threading.Event()
ENTERED = threading.Event()


def _make_steps() -> None:
    class Smooth(Step):
        """Adds a number."""

        id = "test-add"
        title = "Add"
        reads = {"image": Port((Kind.RAW,), "Any image.")}
        makes = Kind.RAW
        amount: float = Field(1.0, ge=0.0, le=100.0, description="What is added.")

        def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
            RUNS.append(f"add {self.amount:g}")
            return inputs["image"].replace(data=inputs["image"].data + np.float32(self.amount))

    class Label(Step):
        """Labels what is above a threshold."""

        id = "test-label"
        title = "Label"
        reads = {"image": Port((Kind.RAW,), "Any image.")}
        makes = Kind.LABELS
        threshold: float = Field(0.0, description="Above this is a cell.")
        fail: str = Field("", description="How to fail.")
        wait: bool = Field(False, description="Wait for the gate.")

        def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
            RUNS.append("label")
            (context.scratch / "leftover.bin").write_bytes(b"x")
            if self.fail == "input":
                raise InputError("the image is no good.")
            if self.fail == "memory":
                raise MemoryError
            if self.fail == "defect":
                raise ZeroDivisionError("division by zero")
            if self.wait:
                ENTERED.set()
                for _ in context.track(range(10_000), "Wait"):
                    GATE.wait(0.005)
            data = (inputs["image"].data > self.threshold).astype(np.uint32)
            return inputs["image"].replace(data=data, kind=Kind.LABELS)


@pytest.fixture(autouse=True)
def steps() -> Iterator[None]:
    before = set(STEPS._entries)
    _make_steps()
    RUNS.clear()
    GATE.clear()
    ENTERED.clear()
    yield
    # Real steps that a test was the first to import stay: they would not be imported again.
    for name in [name for name in STEPS._entries if name.startswith("test-") and name not in before]:
        del STEPS._entries[name]


@pytest.fixture
def runs() -> list[str]:
    return RUNS


@pytest.fixture
def entered() -> threading.Event:
    return ENTERED


@pytest.fixture
def workflow() -> Workflow:
    return Workflow.from_yaml(
        """
        workflow: 1
        name: two-steps
        sources: {image: raw}
        nodes:
          first: {step: test-add, inputs: {image: image}}
          second: {step: test-add, settings: {amount: 2}, inputs: {image: first}}
          cells: {step: test-label, settings: {threshold: 4}, inputs: {image: second}}
          unused: {step: test-add, settings: {amount: 50}, inputs: {image: first}}
        outputs: [cells]
        """
    )


@pytest.fixture
def image() -> Volume:
    data = np.arange(60, dtype=np.float32).reshape(3, 4, 5) / 10
    return Volume(data, Kind.RAW, (0.5, 0.2, 0.2), name="image")
