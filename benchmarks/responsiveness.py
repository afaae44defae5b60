"""How long the window's event loop is held up while a stack is predicted and partitioned in the child process.

    python benchmarks/responsiveness.py                       # 64x256x256; needs a screen, or xvfb-run
    python benchmarks/responsiveness.py --shape 32,128,128
    python benchmarks/responsiveness.py --still               # nobody scrolls; the map still grows

A timer asks to be called every 10 ms; the largest gap between two calls is the longest time that a click would have had
to wait. The image is on the canvas, the map appears in it tile by tile, and another slice is shown ten times a second,
as when a person scrolls. The first row is the same before anything runs: what the canvas itself takes, all of it with
software rendering. Gaps while a new layer is added are counted apart: that is napari's work in the window's own thread,
once a layer. The bar is 100 ms.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

# Before Qt, whose import hook breaks the lazy parts of pydantic.
import plantseg_app.core.workflow  # noqa: F401


class Gaps:
    """The time between two calls of a timer, by what went on."""

    def __init__(self, timer):
        self.what = "the start"
        self.gaps = {}
        self._last = time.perf_counter()
        timer.timeout.connect(self._note)
        timer.start(10)

    def begin(self, what):
        self._note()
        self.what = what

    def _note(self):
        now = time.perf_counter()
        self.gaps.setdefault(self.what, []).append((now - self._last) * 1000)
        self._last = now

    def report(self):
        print("| what goes on | calls | median ms | 99 % ms | largest ms |\n|---|---|---|---|---|")
        for what, gaps in self.gaps.items():
            median, high = np.percentile(gaps, [50, 99])
            print(f"| {what} | {len(gaps)} | {median:.0f} | {high:.0f} | {max(gaps):.0f} |")


class Scene:
    """A canvas, the runner, and a run of the default workflow."""

    def __init__(self, application, folder, shape, scrolls):
        from PySide6.QtCore import QTimer

        from plantseg_app.algorithms.simulate.recipe import random_stack
        from plantseg_app.core.volume import Kind, Volume
        from plantseg_app.gui.qt_runner import QtRunner
        from plantseg_app.gui.viewer import Viewer

        self.application = application
        self.ended = ""
        self.map = ""
        raw = random_stack(np.random.default_rng(0), None, shape).raw
        self.image = Volume(raw, Kind.RAW, (1.0, 1.0, 1.0), name="image")
        self.runner = QtRunner(folder)
        self.viewer = Viewer("dark")
        self.viewer.widget.resize(1000, 800)
        self.viewer.widget.show()
        self.viewer.show(self.image, "image")
        self.timers = QTimer(), QTimer()
        self.gaps = Gaps(self.timers[0])
        self.timers[1].timeout.connect(self.scroll)
        if scrolls:
            self.timers[1].start(100)
        self.runner.node_started.connect(lambda _, event: self.gaps.begin(event.node))
        self.runner.growing.connect(self.show_growing)
        self.runner.grew.connect(self.refresh)
        self.runner.succeeded.connect(lambda _, result: self.show_results(result))
        self.runner.failed.connect(lambda _, failure: self.end(failure.details))

    def scroll(self):
        model = self.viewer.model
        step = model.dims.current_step
        model.dims.set_current_step(0, (step[0] + 1) % self.image.shape_vox[0])

    def show_growing(self, _, growing):
        from plantseg_app.core.volume import Volume

        before = self.gaps.what
        self.gaps.begin("adding a layer")
        size = tuple(self.image.spacing[axis] * growing.spacing_ratio[axis] for axis in range(3))
        self.map = growing.name
        self.viewer.show(Volume(growing.open()[0], growing.kind, size), growing.name)
        self.application.processEvents()
        self.gaps.begin(before)

    def refresh(self, *_):
        self.viewer.refresh(self.map)

    def show_results(self, result):
        self.gaps.begin("adding a layer")
        for name, ref in result.items():
            self.viewer.show(self.runner.open(ref), name)
        self.end("succeeded")

    def end(self, how):
        self.ended = how

    def wait(self, seconds=None):
        until = None if seconds is None else time.perf_counter() + seconds
        while (time.perf_counter() < until) if until else not self.ended:
            self.application.processEvents()
            # As the real loop does, and unlike a loop that spins.
            time.sleep(0.001)

    def run(self):
        from plantseg_app.run.workflows import find_workflow

        self.gaps.begin("the child gets ready")
        self.wait(12)
        self.gaps.begin("nothing runs")
        self.wait(8)
        ref = self.runner.store.add(self.image)
        begun = time.perf_counter()
        self.runner.start_workflow(find_workflow("membranes-gasp"), {"image": ref})
        self.wait()
        print(f"{self.ended} after {time.perf_counter() - begun:.1f} s")
        self.gaps.report()
        self.runner.close()
        self.viewer.close()


def main():
    from PySide6.QtWidgets import QApplication

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="64,256,256", help="Z,Y,X of the stack")
    parser.add_argument("--still", action="store_true", help="do not scroll")
    arguments = parser.parse_args()
    shape = tuple(int(n) for n in arguments.shape.split(","))
    application = QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        Scene(application, Path(folder), shape, not arguments.still).run()


if __name__ == "__main__":
    main()
