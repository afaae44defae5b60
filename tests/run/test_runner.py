from __future__ import annotations

import contextlib
import gc
import tempfile
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from plantseg_app.core.volume import Kind
from plantseg_app.errors import Cancelled, InputError, RequestError, ResourceError
from plantseg_app.run.cache import MemoryCache
from plantseg_app.run.events import NodeFinished, RunState
from plantseg_app.run.runner import Runner


def test_outputs_are_right_and_unneeded_nodes_do_not_run(workflow, image, runs):
    outputs = Runner().run(workflow, {"image": image})
    assert list(outputs) == ["cells"]
    np.testing.assert_array_equal(outputs["cells"].data, (image.data + 3 > 4).astype(np.uint32))
    assert runs == ["add 1", "add 2", "label"]


def test_events_come_in_order_and_end_once(workflow, image):
    runner = Runner()
    told = []
    runner.events.node_started.connect(lambda event: told.append(("start", event.node, event.index, event.total)))
    runner.events.node_finished.connect(lambda event: told.append(("end", event.node, event.reused)))
    runner.events.finished.connect(lambda status: told.append(("finished", status.state, len(status.timings))))
    assert runner.status.state is RunState.IDLE
    runner.run(workflow, {"image": image})
    assert told == [
        ("start", "first", 0, 3),
        ("end", "first", False),
        ("start", "second", 1, 3),
        ("end", "second", False),
        ("start", "cells", 2, 3),
        ("end", "cells", False),
        ("finished", RunState.FINISHED, 3),
    ]
    assert runner.status.state is RunState.FINISHED


def test_a_broken_listener_never_breaks_a_run(workflow, image, caplog):
    runner = Runner()

    def broken(event):
        raise RuntimeError("the listener is broken")

    for signal in (runner.events.node_started, runner.events.node_finished, runner.events.finished):
        signal.connect(broken)
    assert "cells" in runner.run(workflow, {"image": image})
    assert "the run goes on" in caplog.text


def test_unchanged_nodes_are_not_run_twice(workflow, image, runs):
    runner = Runner(MemoryCache(10**7))
    first = runner.run(workflow, {"image": image})
    runs.clear()
    second = runner.run(workflow, {"image": image})
    assert runs == []
    assert second["cells"] is first["cells"]
    assert [timing.reused for timing in runner.status.timings] == [True]
    runner.run(workflow.replace("cells", threshold=5.0), {"image": image})
    assert runs == ["label"]
    runs.clear()
    runner.run(workflow, {"image": image.replace(data=image.data + 1)})
    assert runs == ["add 1", "add 2", "label"]


def test_the_voxel_size_is_part_of_the_key(workflow, image, runs):
    runner = Runner(MemoryCache(10**7))
    runner.run(workflow, {"image": image})
    runs.clear()
    outputs = runner.run(workflow, {"image": image.replace(voxel_size_um=(1.0, 1.0, 1.0))})
    assert len(runs) == 3
    assert outputs["cells"].voxel_size_um == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ("input", InputError, "cells: the image is no good."),
        ("memory", ResourceError, "cells: the memory ran out in Label"),
        ("defect", ZeroDivisionError, "division by zero"),
    ],
)
def test_a_failure_names_the_node_keeps_its_cause_and_what_was_done(workflow, image, runs, how, error, text):
    runner = Runner(MemoryCache(10**7))
    with pytest.raises(error, match=text) as caught:
        runner.run(workflow.replace("cells", fail=how), {"image": image})
    if how == "defect":
        assert 'node "cells"' in caught.value.__notes__[0]
    else:
        assert caught.value.__cause__ is not None
    assert runner.status.state is RunState.FAILED
    assert runner.status.error
    runs.clear()
    runner.run(workflow, {"image": image})
    assert runs == ["label"]


def test_cancel_stops_at_the_next_item_and_finished_nodes_survive(workflow, image, runs, entered):
    runner = Runner(MemoryCache(10**7))
    ended = []
    runner.events.finished.connect(ended.append)
    runner.cancel()  # nothing runs: no effect
    caught = []

    def work():
        try:
            runner.run(workflow.replace("cells", wait=True), {"image": image})
        except Cancelled as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(10)
    assert runner.status.node == "cells"
    with pytest.raises(RequestError, match="still running"):
        runner.run(workflow, {"image": image})
    runner.cancel()
    assert runner.status.state in (RunState.CANCELLING, RunState.CANCELLED)
    thread.join(10)
    assert caught
    assert [status.state for status in ended] == [RunState.CANCELLED]
    runs.clear()
    runner.run(workflow, {"image": image})
    assert runs == ["label"]
    assert runner.status.state is RunState.FINISHED


@pytest.mark.parametrize("how", ["", "input", "defect"])
def test_the_scratch_folder_is_removed(workflow, image, tmp_path, monkeypatch, how):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with contextlib.suppress(InputError, ZeroDivisionError):
        Runner().run(workflow.replace("cells", fail=how), {"image": image})
    assert list(Path(tmp_path).iterdir()) == []


def test_without_a_cache_intermediates_are_freed(workflow, image):
    runner = Runner()
    alive: dict[str, weakref.ref] = {}
    seen = {}

    # Nothing made before this run needs looking through, which takes long once large libraries are loaded.
    gc.freeze()

    def look(event: NodeFinished):
        gc.collect()
        alive[event.node] = weakref.ref(event.volume)
        seen[event.node] = [name for name, reference in alive.items() if reference() is not None]

    runner.events.node_finished.connect(look)
    try:
        outputs = runner.run(workflow, {"image": image})
    finally:
        gc.unfreeze()
    assert seen["cells"] == ["cells"]
    assert outputs["cells"].kind is Kind.LABELS


def test_missing_unknown_and_wrong_sources_are_refused(workflow, image):
    with pytest.raises(RequestError, match='needs "image"'):
        Runner().run(workflow, {})
    with pytest.raises(RequestError, match='Did you mean "image"'):
        Runner().run(workflow, {"image": image, "imag": image})
    with pytest.raises(RequestError, match="takes raw"):
        Runner().run(workflow, {"image": image.replace(kind=Kind.BOUNDARY)})


def test_too_little_memory_is_said_before_the_step_runs(workflow, image, monkeypatch):
    monkeypatch.setattr("plantseg_app.run.runner.available_memory", lambda: 10)
    runner = Runner()
    messages = []
    runner.events.message.connect(messages.append)
    runner.run(workflow, {"image": image})
    assert "first may need 720 bytes" in messages[0]
    assert "only 10 bytes are free" in messages[0]


def test_progress_is_sent_but_not_for_each_of_a_thousand_items(workflow, image):
    runner = Runner()
    seen = []
    runner.events.progress.connect(seen.append)
    from plantseg_app.run.context import RunContext

    context = RunContext(runner.events, threading.Event())
    assert len(list(context.track(range(1000), "Count"))) == 1000
    assert (seen[0].done, seen[0].total) == (0, 1000)
    assert seen[-1].done == 1000
    assert len(seen) < 50
