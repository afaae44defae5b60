"""Results that fill gradually: plain zeros for most, a file to look into for the window."""

from __future__ import annotations

import shutil
import threading
from collections import namedtuple

import numpy as np
import pytest

from plantseg_app.core.context import QuietContext, Sketch
from plantseg_app.core.volume import Kind
from plantseg_app.run.context import RunContext
from plantseg_app.run.events import RunnerEvents

SKETCH = Sketch("Map", Kind.BOUNDARY, (8, 20, 30))
SHAPE = (1, 4, 10, 15)


def context(folder=None):
    events, told = RunnerEvents(), []
    events.growing.connect(told.append)
    events.grew.connect(told.append)
    return RunContext(events, threading.Event(), growing_folder=folder), told


@pytest.mark.parametrize("made", [QuietContext(), context()[0]], ids=["quiet", "run"])
def test_outside_the_window_it_is_an_array_of_zeros(made):
    grown = made.growing(SKETCH, SHAPE, np.float32)
    assert type(grown.data) is np.ndarray
    assert grown.data.base is None
    assert (grown.data.shape, grown.data.dtype, grown.data.any()) == (SHAPE, np.float32, False)
    grown.tell(((0, 1), (0, 1), (0, 1)))


def test_nothing_is_told_without_a_folder():
    made, told = context()
    made.growing(SKETCH, SHAPE, np.float32).tell(((0, 1), (0, 1), (0, 1)))
    assert told == []


def test_in_the_window_it_is_a_file_that_others_can_look_into(tmp_path):
    made, told = context(tmp_path / "growing")
    made.node = "boundary"
    grown = made.growing(SKETCH, SHAPE, np.float32)
    assert not grown.data.any()
    (event,) = told
    assert (event.node, event.name, event.kind, event.shape, event.dtype) == (
        "boundary",
        "Map",
        Kind.BOUNDARY,
        SHAPE,
        "<f4",
    )
    assert event.spacing_ratio == (2.0, 2.0, 2.0)
    seen = event.open()
    grown.data[0, 1, 2:4] = 0.5
    assert np.array_equal(seen, grown.data)
    grown.tell(((1, 2), (2, 4), (0, 15)))
    assert (told[1].path, told[1].box) == (event.path, ((1, 2), (2, 4), (0, 15)))
    # All of the room is taken: a disk that fills up later cannot kill the process at a write into the map.
    facts = event.path.stat()
    assert getattr(facts, "st_blocks", facts.st_size) * 512 >= grown.data.nbytes


@pytest.mark.parametrize("obstacle", ["no room", "no folder"])
def test_without_room_on_the_disk_it_stays_in_memory(tmp_path, monkeypatch, obstacle):
    made, told = context(tmp_path / "growing")
    if obstacle == "no room":
        usage = namedtuple("Usage", "total used free")(10**9, 10**9, 1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    else:
        (tmp_path / "growing").touch()
    grown = made.growing(SKETCH, SHAPE, np.float32)
    assert grown.data.shape == SHAPE
    assert not grown.data.any()
    assert told == []
