"""From a moved slider to a repainted preview, in the real window: what a person waits for.

    python benchmarks/slider.py             # needs a screen, or xvfb-run

A synthetic boundary map is open, the Segment page shows its preview, and the slider (beta of GASP) is moved to values
that nobody has tried before. The clock stops when the canvas has been drawn with the new cells. Both boxes are the
largest that a preview takes: a slice of 512 x 512 and a block of 32 x 256 x 256. The bar is a median of 300 ms.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from pathlib import Path

# Before Qt, whose import hook breaks the lazy parts of pydantic.
import plantseg_app.core.workflow  # noqa: F401
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import write_volume

REPOSITORY = Path(__file__).resolve().parents[1]
BETAS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.65, 0.7, 0.75, 0.8, 0.85)
CASES = {"slice 512x512": ((1, 512, 512), 1), "block 32x256x256": ((32, 256, 256), 2)}


def make_boundary(shape):
    spec = importlib.util.spec_from_file_location("synthetic_tissue", REPOSITORY / "tests" / "tissue.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Volume(module.make_tissue(shape, 16.0, noise=0.08, seed=1).boundary, Kind.BOUNDARY)


class Driver:
    """Opens a map in a window and moves its slider."""

    def __init__(self, application, path):
        from plantseg_app.gui.main_window import MainWindow

        self.application = application
        self.window = MainWindow()
        self.window.show()
        self.window.open_paths([path])
        self.wait(lambda: self.window.document.images and not self.window.runner.is_busy)
        self.window.document.change_image(next(iter(self.window.document.images)), role="boundary")
        self.window.go_to("Segment")
        self.page = self.window.page
        self.count = 0
        self.page.previewer.shown.connect(self._note)

    def _note(self):
        self.count += 1

    def wait(self, condition):
        while not condition():
            self.application.processEvents()

    def timed(self, act):
        """Return the seconds until the preview that `act` asks for is on the canvas."""
        wanted, begun = self.count + 1, time.perf_counter()
        act()
        self.wait(lambda: self.count >= wanted)
        # Drawing is what the event loop does next; a picture of the canvas cannot be had before.
        self.window.viewer.picture()
        return time.perf_counter() - begun

    def move(self, beta):
        row = self.page.forms[0][1].rows["beta"]
        row.set_value(beta)
        row.edited.emit()

    def close(self):
        self.window.document.note_saved(list(self.window.document.results))
        self.window.close()
        self.wait(lambda: not self.window.isVisible())


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    os.environ["NAPARI_CONFIG"] = ""
    from PySide6.QtWidgets import QApplication

    application = QApplication([])
    print("| preview | first s | slider, median ms | largest ms |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PLANTSEG_APP_HOME"] = folder
        for name, (shape, choice) in CASES.items():
            path = write_volume(Path(folder) / "tissue.tif", make_boundary(shape), overwrite=True)
            driver = Driver(application, path)
            first = driver.timed(lambda driver=driver, choice=choice: driver.page.preview_as(choice))
            times = [driver.timed(lambda beta=beta, driver=driver: driver.move(beta)) * 1000 for beta in BETAS]
            print(f"| {name} | {first:.2f} | {statistics.median(times):.0f} | {max(times):.0f} |")
            driver.close()


if __name__ == "__main__":
    main()
