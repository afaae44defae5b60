"""The worker: whatever happens to its process, there is one answer, a fresh process, and what was finished."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError
from plantseg_app.io import read_volume, read_workflow, write_volume
from plantseg_app.run.failure import Cause, Failure
from plantseg_app.run.jobs import Job, JobResult, JobSettings
from plantseg_app.run.tasks import FileStarted, InspectImage, ReadImage, RunBatch, WriteVolume
from plantseg_app.run.worker import Worker
from plantseg_app.run.worker_events import WorkerEvents

HERE = str(Path(__file__).parent)
SIGNALS = [name for name in dir(WorkerEvents) if not name.startswith("_")]
ENDS = ("succeeded", "failed", "cancelled")
posix = pytest.mark.skipif(os.name == "nt", reason="the signal does not exist there")


class Listener:
    """A worker and all that it tells."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.worker = Worker(folder, warm=False, **options)
        self.arrived: queue.Queue[tuple[Any, ...]] = queue.Queue()
        # Signals hold their listeners weakly unless they are functions.
        for name in SIGNALS:
            getattr(self.worker.events, name).connect(self._listener(name))

    def _listener(self, name: str) -> Any:
        return lambda *values: self.arrived.put((name, *values))

    def until(self, *names: str) -> list[tuple[Any, ...]]:
        """Return what arrives up to the first of `names`."""
        events = []
        while not events or events[-1][0] not in names:
            events.append(self.arrived.get(timeout=30))
        return events

    def done(self, task: Any) -> list[tuple[Any, ...]]:
        token = self.worker.submit(task)
        events = self.until(*ENDS)
        assert {event[1] for event in events} == {token}
        assert not self.worker.is_busy
        return events

    def result(self, task: Any) -> Any:
        name, _, result = self.done(task)[-1]
        assert name == "succeeded", result
        return result

    def failure(self, task: Any) -> Failure:
        name, _, failure = self.done(task)[-1]
        assert name == "failed"
        return failure


@pytest.fixture(scope="module")
def tasks() -> Iterator[Any]:
    # The child gets the paths of this process, so it finds the tasks there.
    sys.path.insert(0, HERE)
    import worker_tasks

    yield worker_tasks
    sys.path.remove(HERE)


@pytest.fixture(scope="module")
def desk(tasks: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    listener = Listener(tmp_path_factory.mktemp("session"))
    yield listener
    last = listener.worker.pid
    listener.worker.close()
    assert not psutil.pid_exists(last)
    assert listener.worker.pid is None
    assert list((listener.folder / "tmp").iterdir()) == []
    assert not list(listener.folder.rglob("*.tmp"))
    with pytest.raises(RequestError, match="closing"):
        listener.worker.submit(tasks.Do("echo"))


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "desk" in request.fixturenames:
        desk = request.getfixturevalue("desk")
        assert desk.arrived.empty()
        folders = [int(path.name) for path in (desk.folder / "tmp").iterdir()]
        assert set(folders) <= {desk.worker.pid}
        children = psutil.Process().children()
        assert not [child for child in children if child.status() == psutil.STATUS_ZOMBIE]


def test_a_task_runs_in_the_same_other_process_each_time(desk, tasks):
    first = desk.result(tasks.Do("process"))
    assert first == desk.worker.pid != os.getpid()
    assert desk.result(tasks.Do("process")) == first
    assert desk.result(tasks.Do("echo", {"a": (1, 2)})) == {"a": (1, 2)}
    assert psutil.Process(first).nice() == psutil.Process().nice() + 5


def test_progress_messages_and_own_events_arrive_in_order(desk, tasks):
    events = desk.done(tasks.Do("tell"))
    assert [event[0] for event in events] == ["told", *["progress"] * 4, "succeeded"]
    assert events[0][2] == {"loss": 0.5}
    progress = [event[2] for event in events[1:-1]]
    assert [p.done for p in progress] == [0, 1, 2, 3]
    assert {(p.title, p.label, p.total) for p in progress} == {("Testing", "Counting", 4)}
    assert progress[0].seconds_left is None
    assert 0 <= progress[3].seconds_left < 5


def test_only_one_task_at_a_time(desk, tasks):
    desk.worker.submit(tasks.Do("ask_until_cancelled"))
    desk.until("message")
    with pytest.raises(RequestError, match="Testing is still under way"):
        desk.worker.submit(tasks.Do("echo"))
    desk.worker.cancel()
    assert desk.until(*ENDS)[-1][0] == "cancelled"


def test_a_task_that_cannot_be_sent_fails_where_it_is_submitted(desk, tasks):
    with pytest.raises((TypeError, AttributeError)):
        desk.worker.submit(tasks.Do("echo", lambda: None))
    assert not desk.worker.is_busy


def test_cancelling_asks_first_and_keeps_the_process(desk, tasks):
    before = desk.result(tasks.Do("process"))
    token = desk.worker.submit(tasks.Do("ask_until_cancelled"))
    desk.until("message")
    desk.worker.cancel()
    desk.worker.cancel()
    assert desk.until(*ENDS)[-1] == ("cancelled", token)
    assert desk.worker.pid == before
    desk.worker.cancel()
    assert desk.result(tasks.Do("process")) == before


@posix
@pytest.mark.parametrize("what", ["hold_the_interpreter", "block_in_c"])
def test_cancelling_ends_what_never_returns_within_a_second(desk, tasks, what):
    before = desk.result(tasks.Do("process"))
    desk.worker.submit(tasks.Do(what))
    desk.until("message")
    asked = time.monotonic()
    desk.worker.cancel()
    assert desk.until(*ENDS)[-1][0] == "cancelled"
    assert time.monotonic() - asked < 1.0 + 0.5
    assert not psutil.pid_exists(before)
    assert desk.result(tasks.Do("process")) != before


@posix
def test_however_often_a_task_is_cancelled_a_fresh_process_waits(tasks, tmp_path):
    listener = Listener(tmp_path, patience_s=0.02)
    seen = set()
    for _ in range(5):
        listener.worker.submit(tasks.Do("block_in_c"))
        listener.until("message")
        listener.worker.cancel()
        listener.until("cancelled")
        seen.add(listener.worker.pid)
    assert len(seen) == 5
    assert None not in seen
    assert listener.worker.pid == listener.result(tasks.Do("process"))
    listener.worker.close()


@posix
def test_a_cancelled_writer_leaves_no_half_file(desk, tasks, tmp_path):
    target = tmp_path / "out.tif"
    target.write_bytes(b"old")
    desk.worker.submit(tasks.Do("half_written_file", str(target)))
    desk.until("message")
    assert len(list(tmp_path.iterdir())) == 2
    desk.worker.cancel()
    assert desk.until(*ENDS)[-1][0] == "cancelled"
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"old"


@posix
@pytest.mark.parametrize(
    ("what", "cause", "words"),
    [
        ("abort", Cause.CRASH, r"The computation crashed \(SIGABRT\) while it was testing\."),
        ("segfault", Cause.CRASH, r"The computation crashed \(SIGSEGV\)"),
        ("leave", Cause.CRASH, r"The computation crashed \(exit code 3\)"),
        ("killed", Cause.MEMORY, r"The machine ran out of memory while it was testing, and the system ended"),
    ],
)
def test_a_process_that_dies_is_one_failed_task(desk, tasks, what, cause, words):
    import re

    before = desk.result(tasks.Do("process"))
    failure = desk.failure(tasks.Do(what))
    assert failure.cause is cause
    assert re.match(words, failure.sentence)
    assert failure.advice
    assert "numpy" in failure.details
    assert f"Do(what='{what}'" in failure.details
    if what == "segfault":
        assert "string_at" in failure.details, "where it happened is missing"
    assert desk.result(tasks.Do("process")) != before


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_lack_of_memory_is_a_failure_that_the_process_survives(desk, tasks):
    before = desk.result(tasks.Do("process"))
    failure = desk.failure(tasks.Do("too_much_memory"))
    assert failure.cause is Cause.MEMORY
    assert failure.sentence.startswith("The machine ran out of memory")
    assert "Crop or rescale" in failure.advice
    assert desk.result(tasks.Do("process")) == before


def test_a_defect_is_told_with_its_traceback(desk, tasks):
    failure = desk.failure(tasks.Do("defect", 0))
    assert failure.cause is Cause.DEFECT
    assert "ZeroDivisionError" in failure.sentence
    assert "in defect" in failure.details


@pytest.mark.parametrize("what", ["unsendable", "unreadable"])
def test_an_answer_that_cannot_travel_is_a_failure(desk, tasks, what, monkeypatch):
    monkeypatch.setitem(sys.modules, "worker_tasks_refuse", tasks)
    assert desk.failure(tasks.Do(what)).cause is Cause.DEFECT
    assert desk.result(tasks.Do("echo", 1)) == 1


def test_a_listener_that_fails_or_submits_does_not_stop_the_worker(desk, tasks):
    submitted = []

    def fail(*_: object) -> None:
        raise ValueError("a defect of a listener")

    def submit(*_: object) -> None:
        if not submitted:
            submitted.append(desk.worker.submit(tasks.Do("echo", "second")))

    desk.worker.events.succeeded.connect(fail)
    first = desk.result(tasks.Do("echo", "first"))
    desk.worker.events.succeeded.disconnect(fail)
    desk.worker.events.succeeded.connect(submit)
    desk.worker.submit(tasks.Do("echo", "third"))
    desk.until(*ENDS)
    assert desk.until(*ENDS)[-1] == ("succeeded", submitted[0], "second")
    desk.worker.events.succeeded.disconnect(submit)
    assert first == "first"


# ------------------------------------------------------------------------------------------------------ workflows


@pytest.fixture
def image() -> Volume:
    return Volume(np.arange(60, dtype=np.float32).reshape(3, 4, 5), Kind.RAW, (0.5, 0.2, 0.2), name="image")


def counting(tasks: Any, folder: Path, then: str = "") -> Workflow:
    tasks.make_steps()
    second = f"{{log: {folder / 'second'}, then: '{then}'}}"
    return Workflow.from_yaml(
        f"""
        workflow: 1
        name: counting
        sources: {{image: raw}}
        nodes:
          first: {{step: test-count, settings: {{log: {folder / "first"}}}, inputs: {{image: image}}}}
          second: {{step: test-count, settings: {second}, inputs: {{image: first}}}}
        outputs: [second]
        """
    )


def runs(folder: Path, node: str) -> int:
    path = folder / node
    return len(path.read_text()) if path.exists() else 0


def test_a_workflow_gives_references_and_an_unchanged_node_is_not_run_twice(desk, tasks, image, tmp_path):
    task = tasks.RunTestWorkflow(counting(tasks, tmp_path).to_yaml(), {"image": desk.worker.store.add(image)})
    events = desk.done(task)
    names = [event[0] for event in events]
    assert names.count("node_started") == names.count("node_finished") == 2
    assert names[-1] == "succeeded"
    result = events[-1][2]["second"]
    np.testing.assert_array_equal(desk.worker.store.open(result).data, image.data + 2)
    done = {event[2].node: event[2] for event in events if event[0] == "node_finished"}
    np.testing.assert_array_equal(desk.worker.store.open(done["first"].ref).data, image.data + 1)
    assert desk.worker.store.open(result).voxel_size_um == image.voxel_size_um
    progress = [event[2] for event in events if event[0] == "progress"]
    assert {(p.node, p.title) for p in progress} == {("first", "Count"), ("second", "Count")}

    events = desk.done(task)
    assert events[-1][2]["second"] == result
    assert [event[2].reused for event in events if event[0] == "node_finished"] == [True]
    assert (runs(tmp_path, "first"), runs(tmp_path, "second")) == (1, 1)
    other = tasks.RunTestWorkflow(task.workflow_yaml, task.sources, outputs=("first",))
    assert list(desk.result(other)) == ["first"]
    assert runs(tmp_path, "first") == 1


def test_a_growing_result_can_be_watched_in_its_file(desk, tasks, image, tmp_path):
    big = image.replace(data=np.ones((6, 8, 10), np.float32))
    desk.worker.submit(
        tasks.RunTestWorkflow(counting(tasks, tmp_path).to_yaml(), {"image": desk.worker.store.add(big)}, ("first",))
    )
    growing = desk.until("growing")[-1][2]
    assert (growing.node, growing.name, growing.kind) == ("first", "Counted", Kind.RAW)
    assert (growing.shape, growing.dtype, growing.spacing_ratio) == ((6, 8, 10), "<f4", (1.0, 1.0, 1.0))
    seen = growing.open()
    assert not seen.flags.writeable
    rest = desk.until(*ENDS)
    boxes = [event[2].box for event in rest if event[0] == "grew"]
    assert boxes == [((z, z + 1), (0, 8), (0, 10)) for z in range(6)]
    assert {event[2].path for event in rest if event[0] == "grew"} == {growing.path}
    # The view was opened before; what was written afterwards is in it.
    np.testing.assert_array_equal(seen, 2)
    desk.result(tasks.Do("echo"))
    assert not growing.path.exists()


@posix
@pytest.mark.parametrize("end", ["hang", "abort", "fail"])
def test_finished_nodes_survive_cancel_crash_and_failure(desk, tasks, image, tmp_path, end):
    sources = {"image": desk.worker.store.add(image)}
    task = tasks.RunTestWorkflow(counting(tasks, tmp_path, then=end).to_yaml(), sources)
    desk.worker.submit(task)
    if end == "hang":
        desk.until("message")
        desk.worker.cancel()
    events = desk.until(*ENDS)
    assert events[-1][0] == ("cancelled" if end == "hang" else "failed")
    if end == "abort":
        assert "step: test-count" in events[-1][2].details
    assert (runs(tmp_path, "first"), runs(tmp_path, "second")) == (1, 1)
    mended = tasks.RunTestWorkflow(counting(tasks, tmp_path).to_yaml(), sources)
    result = desk.result(mended)["second"]
    np.testing.assert_array_equal(desk.worker.store.open(result).data, image.data + 2)
    assert (runs(tmp_path, "first"), runs(tmp_path, "second")) == (1, 2)


def test_a_wrong_workflow_is_a_sentence(desk, tasks, image):
    sources = {"image": desk.worker.store.add(image)}
    yaml = "{workflow: 1, name: x, sources: {image: raw}, nodes: {a: {step: gaussian, inputs: {image: imag}}}}"
    failure = desk.failure(tasks.RunTestWorkflow(yaml, sources))
    assert failure.cause is Cause.PROBLEM
    assert 'Did you mean "image"?' in failure.sentence


# ---------------------------------------------------------------------------------------------------------- files


def test_files_are_read_and_written_there(desk, image, tmp_path):
    path = write_volume(tmp_path / "in.tif", image)
    assert desk.result(InspectImage(path)).shape == (3, 4, 5)
    ref = desk.result(ReadImage(path))
    read = desk.worker.store.open(ref)
    np.testing.assert_array_equal(read.data, image.data)
    assert read.origin.path == str(path)
    out = desk.result(WriteVolume(tmp_path / "out.h5", ref, workflow="name: x"))
    np.testing.assert_array_equal(read_volume(out).data, image.data)
    assert read_workflow(out) == "name: x"
    (tmp_path / "bad.tif").write_bytes(b"II*\0garbage")
    failure = desk.failure(ReadImage(tmp_path / "bad.tif"))
    assert failure.cause is Cause.PROBLEM
    assert "bad.tif" in failure.sentence


def test_a_batch_tells_each_file_and_goes_on_where_it_ended(desk, image, tmp_path):
    paths = [write_volume(tmp_path / f"{name}.tif", image) for name in "ab"]
    (tmp_path / "c.tif").write_bytes(b"no image")
    jobs = tuple(Job(path, tmp_path / "out" / path.name) for path in (*paths, tmp_path / "c.tif"))
    yaml = "{workflow: 1, name: x, sources: {image: raw}, nodes: {a: {step: gaussian, inputs: {image: image}}}}"
    settings = JobSettings(yaml, "image", n_threads=1)
    events = desk.done(RunBatch(jobs, settings))
    told = [event[2] for event in events if event[0] == "told"]
    assert [type(event) for event in told] == [FileStarted, JobResult] * 3
    assert [(event.index, event.total) for event in told[::2]] == [(0, 3), (1, 3), (2, 3)]
    assert [result.status for result in events[-1][2]] == ["done", "done", "failed"]
    again = desk.result(RunBatch(jobs, settings, resume=True))
    assert [result.status for result in again] == ["skipped", "skipped", "failed"]


# -------------------------------------------------------------------------------------------------- the process itself


@posix
def test_an_idle_process_that_dies_is_replaced(desk, tasks):
    before = desk.result(tasks.Do("process"))
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while desk.worker.pid in (before, None):
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    assert desk.result(tasks.Do("process")) == desk.worker.pid


@posix
def test_closing_cancels_what_is_under_way(tasks, tmp_path):
    listener = Listener(tmp_path)
    token = listener.worker.submit(tasks.Do("hold_the_interpreter"))
    listener.until("message")
    pid = listener.worker.pid
    listener.worker.close()
    listener.worker.close()
    assert listener.until(*ENDS) == [("cancelled", token)]
    assert not psutil.pid_exists(pid)
    assert list(tmp_path.rglob("*.txt")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it leaves when the pipe closes, once the solver returns")
def test_the_process_dies_with_its_parent_whatever_it_does(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {HERE!r})
if __name__ == "__main__":
    import worker_tasks
    from plantseg_app.run.worker import Worker
    worker = Worker(Path({str(tmp_path / "session")!r}), warm=False)
    worker.events.message.connect(lambda token, text: print(worker.pid, flush=True))
    worker.submit(worker_tasks.Do("hold_the_interpreter"))
    time.sleep(600)
"""
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_warm_process_does_tasks_while_it_warms_up(tasks, tmp_path):
    worker = Worker(tmp_path, warm=True)
    arrived: queue.Queue[Any] = queue.Queue()
    worker.events.succeeded.connect(lambda token, result: arrived.put(result))
    worker.submit(tasks.Do("loaded"))
    first = arrived.get(timeout=30)
    assert "torch" not in first
    deadline = time.monotonic() + 60
    while "torch" not in first:
        assert time.monotonic() < deadline
        worker.submit(tasks.Do("loaded"))
        first = arrived.get(timeout=60)
    worker.close()


@posix
def test_a_process_that_dies_of_getting_warm_is_replaced_by_a_cold_one(tasks, tmp_path, monkeypatch):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import os; os.abort()")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    worker = Worker(tmp_path / "session", warm=True)
    ends: queue.Queue[Any] = queue.Queue()
    worker.events.succeeded.connect(lambda token, result: ends.put(result))
    worker.events.failed.connect(lambda token, failure: ends.put(failure))
    pids: list[int] = []
    deadline = time.monotonic() + 60
    while len(pids) < 3:
        assert time.monotonic() < deadline
        if worker.pid not in (None, *pids):
            pids.append(worker.pid)
        threading.Event().wait(0.01)
    for _ in range(2):
        worker.submit(tasks.Do("process"))
        assert ends.get(timeout=30) == pids[-1]
    worker.close()


def test_a_folder_that_cannot_be_used_is_a_failure_and_no_loop(tasks, tmp_path):
    (tmp_path / "file").touch()
    worker = Worker(tmp_path / "file" / "session", warm=False)
    ends: queue.Queue[Any] = queue.Queue()
    worker.events.failed.connect(lambda token, failure: ends.put(failure))
    for _ in range(2):
        worker.submit(tasks.Do("echo"))
        assert ends.get(timeout=30).cause is Cause.CRASH
    assert worker.pid is None
    worker.close()
