"""The window's end of the worker: news in the window's thread, tokens, previews of which only the newest counts."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import InputError, RequestError
from plantseg_app.gui.qt_runner import QtRunner

SIGNALS = ("progressed", "told", "node_started", "node_finished", "growing", "grew", "news")
ENDS = ("succeeded", "failed", "cancelled")
HERE = str(Path(__file__).parents[1] / "run")


@pytest.fixture(scope="module")
def tasks() -> Iterator[Any]:
    sys.path.insert(0, HERE)
    import worker_tasks

    yield worker_tasks
    sys.path.remove(HERE)


@pytest.fixture(scope="module")
def runner(tasks: Any, qapp: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QtRunner]:
    runner = QtRunner(tmp_path_factory.mktemp("session"), warm=False)
    yield runner
    runner.close()
    runner.deleteLater()


class Log:
    """Everything that a runner tells, and in which thread."""

    def __init__(self, runner: QtRunner) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()
        self._runner = runner
        self._slots = {name: self._slot(name) for name in (*SIGNALS, *ENDS, "stopped")}
        for name, slot in self._slots.items():
            getattr(runner, name).connect(slot)

    def _slot(self, name: str) -> Any:
        def note(*values: object) -> None:
            self.threads.add(threading.get_ident())
            self.events.append((name, *values))

        return note

    def close(self) -> None:
        for name, slot in self._slots.items():
            getattr(self._runner, name).disconnect(slot)

    def names(self) -> list[str]:
        return [event[0] for event in self.events]


@pytest.fixture
def log(runner: QtRunner) -> Iterator[Log]:
    log = Log(runner)
    yield log
    log.close()
    assert log.threads <= {threading.get_ident()}


def wait(runner: QtRunner, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not runner.is_busy, timeout=30_000)


def test_news_arrive_in_the_windows_thread_in_order_and_with_the_token(runner, log, qtbot, tasks):
    assert not runner.is_busy
    token = runner.start(tasks.Do("tell"), "Counting sheep")
    assert runner.is_busy
    wait(runner, qtbot)
    assert log.names() == ["progressed", "news", *["progressed"] * 4, "succeeded", "stopped"]
    assert {event[1] for event in log.events} == {token}
    assert log.events[0][2].title == "Counting sheep"
    assert log.events[1][2] == {"loss": 0.5}
    assert log.events[-3][2].seconds_left is not None
    second = runner.start(tasks.Do("echo", "x"))
    wait(runner, qtbot)
    assert second != token
    assert log.events[-2] == ("succeeded", second, "x")


def test_one_task_at_a_time_and_the_next_from_the_end_of_the_first(runner, log, qtbot, tasks):
    runner.start(tasks.Do("echo", 1))
    with pytest.raises(RequestError, match="under way"):
        runner.start(tasks.Do("echo", 2))
    started = []

    def start_next(_token: int) -> None:
        if not started:
            started.append(runner.start(tasks.Do("echo", 2)))

    runner.stopped.connect(start_next)
    qtbot.waitUntil(lambda: bool(started) and not runner.is_busy, timeout=30_000)
    runner.stopped.disconnect(start_next)
    assert [event[2] for event in log.events if event[0] == "succeeded"] == [1, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="the call does not exist there")
def test_a_workflow_grows_is_cancelled_and_goes_on_where_it_was(runner, log, qtbot, tasks, tmp_path):
    tasks.make_steps()
    image = Volume(np.zeros((3, 4, 5), np.float32), Kind.RAW, name="image")
    text = f"""
        workflow: 1
        name: counting
        title: Count twice
        sources: {{image: raw}}
        nodes:
          first: {{step: test-count, settings: {{log: {tmp_path / "first"}}}, inputs: {{image: image}}}}
          second: {{step: test-count, settings: {{log: {tmp_path / "second"}, then: hang}}, inputs: {{image: first}}}}
    """
    workflow = Workflow.from_yaml(text)
    sources = {"image": runner.store.add(image)}
    # The child does not know the step yet.
    runner.start(tasks.RunTestWorkflow(workflow.to_yaml(), sources, ("first",)))
    wait(runner, qtbot)
    names = log.names()
    assert names.count("growing") == 1
    assert names.count("grew") == 3
    done = next(event[2] for event in log.events if event[0] == "node_finished")
    assert np.array_equal(runner.open(done.ref).data, image.data + 1)

    token = runner.start_workflow(workflow, sources)
    qtbot.waitUntil(lambda: "told" in log.names(), timeout=30_000)
    runner.cancel()
    wait(runner, qtbot)
    assert log.events[-2:] == [("cancelled", token), ("stopped", token)]
    assert len((tmp_path / "first").read_text()) == 1
    assert log.events[names.index("stopped") + 1][2].title == "Count twice"


@pytest.mark.skipif(sys.platform == "win32", reason="the signal does not exist there")
def test_a_crash_is_a_failure_to_show_and_the_next_task_runs(runner, log, qtbot, tasks):
    runner.start(tasks.Do("killed"))
    wait(runner, qtbot)
    assert log.names()[-2:] == ["failed", "stopped"]
    assert log.events[-2][2].sentence.startswith("The machine ran out of memory")
    runner.start(tasks.Do("echo", 3))
    wait(runner, qtbot)
    assert log.events[-2][2] == 3


def test_only_the_newest_preview_counts(runner, qtbot):
    entered, gate, ran, shown = threading.Event(), threading.Event(), [], []

    def first() -> str:
        entered.set()
        gate.wait(10)
        return "first"

    runner.run_preview(first, shown.append)
    assert entered.wait(10)
    for number in range(5):
        runner.run_preview(lambda number=number: ran.append(number) or number, shown.append)
    gate.set()
    qtbot.waitUntil(lambda: bool(shown), timeout=10_000)
    assert (ran, shown) == ([4], [4])


def test_a_preview_answers_in_the_windows_thread_while_a_task_runs(runner, qtbot, tasks):
    runner.start(tasks.Do("ask_until_cancelled"))
    worked, shown = [], []
    runner.run_preview(lambda: worked.append(threading.get_ident()), lambda _: shown.append(threading.get_ident()))
    qtbot.waitUntil(lambda: bool(shown), timeout=10_000)
    assert shown == [threading.get_ident()] != worked
    assert runner.is_busy
    runner.cancel()
    wait(runner, qtbot)


@pytest.mark.parametrize(
    ("error", "words"),
    [(InputError("The crop is empty."), r"^The crop is empty\.$"), (ZeroDivisionError("x"), "defect.*ZeroDivision")],
)
def test_a_preview_that_fails_says_why_and_the_next_one_runs(runner, qtbot, error, words):
    import re

    def fail() -> None:
        raise error

    shown: list[Any] = []
    with qtbot.waitSignal(runner.preview_failed, timeout=10_000) as failed:
        runner.run_preview(fail, shown.append)
    assert re.search(words, failed.args[0])
    runner.run_preview(lambda: "fine", shown.append)
    qtbot.waitUntil(lambda: shown == ["fine"], timeout=10_000)


@pytest.mark.skipif(sys.platform == "win32", reason="the call does not exist there")
def test_closing_in_the_middle_is_quick_and_quiet(qapp, qtbot, tasks, tmp_path):
    runner = QtRunner(tmp_path, warm=False)
    log = Log(runner)
    runner.start(tasks.Do("hold_the_interpreter"))
    qtbot.waitUntil(lambda: "told" in log.names(), timeout=30_000)
    gate = threading.Event()
    shown: list[Any] = []
    runner.run_preview(lambda: gate.wait(10), shown.append)
    gate.set()
    runner.close()
    runner.close()
    assert not runner.is_busy
    qapp.processEvents()
    assert log.names() == ["progressed", "told"]
    assert not shown
    runner.deleteLater()
