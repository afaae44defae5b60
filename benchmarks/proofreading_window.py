"""From a click to the redrawn canvas: a merge in the window, on a large volume, with the work list open.

    python benchmarks/proofreading_window.py        # 256 x 1024 x 1024, about 23,000 cells; needs a screen or xvfb-run

Clicks are Qt's events on the canvas. The clock runs from the release of the button until the correction was made,
until the canvas was drawn again (by software under Xvfb), and until nothing was left to do; medians and the largest.
Own work is what the window's thread worked up to the drawn canvas, which other programs on the machine do not change.
The first row is a drawing of the canvas for nothing. The bar is 100 ms for the canvas. In the work list every cell
stands, with findings made up, because examining them all takes minutes. `--profile` prints where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import tempfile
import time

import numpy as np
from proofreading import make_volume

# Before Qt, whose import hook breaks the lazy parts of pydantic.
import plantseg_app.core.workflow  # noqa: F401


def make_examination(session):
    """Return findings for all cells as they usually are, with a doubt for one in ten."""
    from plantseg_app.proofread.doubt import Usual, by_doubt, judge
    from plantseg_app.proofread.findings import Face, examine, usual_scale
    from plantseg_app.proofread.work_list import Examination

    scale, ids = usual_scale(session.tissue), session.tissue.index.ids()
    seen = [examine(session.tissue, cell, scale) for cell in ids[:20]]
    findings = {}
    for number, cell in enumerate(ids):
        found = seen[number % len(seen)]
        faces = tuple(Face(ids[(number + 1 + n) % len(ids)], *face[1:]) for n, face in enumerate(found.faces))
        findings[cell] = found._replace(faces=faces, n_pieces=2, loose_vox=50 if number % 10 == 0 else 0)
    usual = Usual.of(findings.values(), False)
    doubts = sorted((judge(cell, findings, usual) for cell in findings), key=by_doubt)
    return Examination(scale, findings, usual, tuple(doubts))


class Scene:
    """A window in which the cells are corrected."""

    def __init__(self, shape):
        from PySide6.QtTest import QTest
        from PySide6.QtWidgets import QApplication

        from plantseg_app.core.volume import Kind, Volume
        from plantseg_app.gui.document import OpenImage, Result
        from plantseg_app.gui.main_window import MainWindow
        from plantseg_app.gui.preferences import PreferenceStore

        self.application, self.test = QApplication.instance() or QApplication([]), QTest
        preferences = PreferenceStore()
        preferences.change(tour_seen=True)
        labels, boundary, _ = make_volume(shape)
        self.window = window = MainWindow(preferences, warm=False)
        window.resize(1600, 1000)
        window.show()
        document, size = window.document, (0.5, 0.25, 0.25)
        document.add_image(OpenImage("leaf", "membranes", Volume(boundary, Kind.RAW, size)))
        document.add_image(OpenImage("map", "boundary", Volume(boundary, Kind.BOUNDARY, size)))
        document.set_result(Result("cells", Volume(labels, Kind.LABELS, size), document.workflow))
        window.layers.show_result("cells")
        window.go_to("Proofread")
        window.page.start()
        self.wait(lambda: window.page.is_correcting)
        window.viewer.fit()
        self.session = window.page.corrections.session
        self.drawn = []
        canvas = window.viewer._qt_viewer.canvas
        self.native = canvas.native
        canvas._scene_canvas.events.draw.connect(lambda _event: self.drawn.append(time.perf_counter()), position="last")

    def wait(self, holds):
        while not holds():
            self.application.processEvents()
            time.sleep(0.005)

    def rest(self):
        end = time.perf_counter() + 1.0
        self.wait(lambda: time.perf_counter() > end)

    def open_work_list(self):
        suspicious = self.window.page.suspicious
        suspicious._session = self.session
        seen = make_examination(self.session)
        begun = time.perf_counter()
        suspicious._take(seen)
        return 1e3 * (time.perf_counter() - begun)

    def place_of(self, voxel):
        from PySide6.QtCore import QPoint

        model = self.window.viewer.model
        world = self.window.viewer.labels_planes("corrected cells")[0].data_to_world(voxel)
        camera = model.scene.camera
        y, x = (camera.zoom * (world[axis] - at) for axis, at in zip((1, 2), camera.center[-2:], strict=True))
        return QPoint(round(self.native.width() / 2 + x), round(self.native.height() / 2 + y))

    def click(self, voxel):
        """Click, and return the milliseconds until it was acted on, the canvas was drawn, and all was done."""
        from PySide6.QtCore import Qt

        place, button, none = self.place_of(voxel), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        self.test.mouseMove(self.native, place)
        self.rest()
        self.test.mousePress(self.native, button, none, place)
        self.drawn.clear()
        begun = time.perf_counter(), time.thread_time()
        self.test.mouseRelease(self.native, button, none, place)
        return self._until_drawn(begun, time.perf_counter())

    def undo(self):
        self.rest()
        self.drawn.clear()
        begun = time.perf_counter(), time.thread_time()
        self.window.page.undo()
        return self._until_drawn(begun, time.perf_counter())

    def redraw(self):
        """Draw the canvas for nothing."""
        self.rest()
        self.drawn.clear()
        begun = time.perf_counter(), time.thread_time()
        self.native.update()
        return self._until_drawn(begun, time.perf_counter())

    def _until_drawn(self, begun, acted):
        while not self.drawn:
            self.application.processEvents()
        used = time.thread_time()
        self.application.processEvents()
        times = (acted, self.drawn[0], time.perf_counter())
        return [1e3 * (at - begun[0]) for at in times] + [1e3 * (used - begun[1])]


def pairs_in(session, z, count):
    """Return cells of a slice with a voxel of each there, and of a cell that touches it."""
    plane = session.tissue.planes[0][z]
    found, rng = [], np.random.default_rng(0)
    while len(found) < count:
        y, x = rng.integers(100, np.array(plane.shape) - 100)
        cell = int(plane[y, x])
        near = plane[y - 20 : y + 20, x - 20 : x + 20]
        others = [other for other in np.unique(near).tolist() if other not in (0, cell)]
        if cell and others:
            spot = np.argwhere(near == others[0])[0] + (y - 20, x - 20)
            found.append(((z, int(y), int(x)), (z, int(spot[0]), int(spot[1]))))
    return found


def measure(scene, repeat):
    z = scene.window.viewer.model.dims.current_step[0]
    merges, undos = [], []
    for first, second in pairs_in(scene.session, z, repeat):
        n_edits = len(scene.session.edits)
        scene.window.page.corrections.hand.drop()
        scene.click(first)
        took = scene.click(second)
        if len(scene.session.edits) > n_edits:
            merges.append(took)
            undos.append(scene.undo())
    return merges, undos


def report(what, rows):
    numbers = [number(column) for column in zip(*rows, strict=True) for number in (statistics.median, max)]
    print(f"| {what} | " + " | ".join(f"{number:.0f}" for number in numbers) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="256,1024,1024", help="multiples of 64,256,256")
    parser.add_argument("--repeat", type=int, default=12)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    os.environ["NAPARI_CONFIG"] = ""
    with tempfile.TemporaryDirectory() as home:
        os.environ["PLANTSEG_APP_HOME"] = home
        scene = Scene(tuple(map(int, arguments.shape.split(","))))
        scene.window.page.act("merge")
        print("| what | made, ms | largest | canvas, ms | largest | all done, ms | largest | own work, ms | largest |")
        print(f"|{'---|' * 9}")
        report("redraw of the canvas alone", [scene.redraw() for _ in range(arguments.repeat)])
        for title, prepare in (("", lambda: 0), (", work list open", scene.open_work_list)):
            taken = prepare()
            profile = cProfile.Profile()
            if arguments.profile:
                profile.enable()
            merges, undos = measure(scene, arguments.repeat)
            profile.disable()
            for what, rows in (("merge", merges), ("undo", undos)):
                report(f"{what}{title}", rows)
            if taken:
                print(f"\nThe work list was taken over in {taken:.0f} ms.")
            if arguments.profile:
                pstats.Stats(profile).sort_stats("cumulative").print_stats("plantseg_app|napari", 60)
        os._exit(0)


if __name__ == "__main__":
    main()
