"""Makes the pictures of ``docs/tutorial.md`` by driving the real window through the whole work.

    python docs/make_tutorial.py                                   # all pictures, into docs/images/tutorial
    python docs/make_tutorial.py --until segment --output pictures
    python docs/make_tutorial.py --theme light --width 3840 --height 2160 --font-size 14 --output look

On Linux without a screen start it under ``xvfb-run -s "-screen 0 1600x1000x24"``. It computes everything that the
pictures show with the bundled model and sample, in a few minutes; only the times that they name differ from run to run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before PySide6: its import hook looks into modules while they are imported, which breaks pydantic's lazy parts.
import plantseg_app.core.workflow  # noqa: F401
from plantseg_app.paths import samples_dir

PICTURES = Path(__file__).resolve().parent / "images" / "tutorial"
SAMPLE = samples_dir() / "sample_ovule.h5"
_SETTLE_S, _PATIENCE_S = 0.8, 600.0
_COLOURS = 256
_MARKED = 25


class Stage:
    """The window with a folder of its own, and the ways to wait for it.

    Parameters
    ----------
    folder
        Where images lie and results go; its name is to be seen in some pictures.
    """

    def __init__(self, folder: Path, theme: str, font_size_pt: int, size: tuple[int, int]) -> None:
        from PySide6.QtWidgets import QApplication

        self.application = QApplication.instance() or QApplication(sys.argv[:1])
        from plantseg_app.gui.main_window import MainWindow
        from plantseg_app.gui.preferences import PreferenceStore

        preferences = PreferenceStore()
        preferences.change(appearance={"theme": theme, "font_size_pt": font_size_pt}, tour_seen=True)
        self.folder = folder
        self.window: Any = MainWindow(preferences)
        self.window.show()
        self.window.resize(*size)
        self.settle()

    @property
    def page(self) -> Any:
        """The page that is open."""
        return self.window.page

    def area(self, key: str) -> Any:
        """Open an area beside the wizard."""
        self.window.open_area_of(key)
        return self.window.areas[self.window.area_keys.index(key)]

    def wait(self, is_done: Callable[[], bool], what: str) -> None:
        """Let the window work until something is done.

        Raises
        ------
        TimeoutError
            Naming `what` did not come.
        """
        end = time.monotonic() + _PATIENCE_S
        while not is_done():
            if time.monotonic() > end:
                raise TimeoutError(f"{what} did not come within {_PATIENCE_S:.0f} s.")
            self.application.processEvents()
            time.sleep(0.01)

    def settle(self) -> None:
        """Wait until nothing runs and everything is painted."""
        self.wait(lambda: not (self.window.runner.is_busy or self.window.loader.is_busy), "the end of the run")
        end = time.monotonic() + _SETTLE_S
        self.wait(lambda: time.monotonic() > end, "rest")

    def save(self, file: Path) -> None:
        """Save what the window shows as a small picture."""
        from PIL import Image

        self.settle()
        self.window.grab().save(str(file), "PNG")
        with Image.open(file) as picture:
            small = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
        small.save(file, optimize=True)

    def close(self) -> None:
        """Close the window without questions."""
        self.window.document.note_saved(list(self.window.document.results))
        self.window.close()
        self.wait(lambda: not self.window.isVisible(), "the end")
        self.window.deleteLater()


# ---------------------------------------------------------------------------------------------------- the work


def start(stage: Stage) -> None:
    """Show what a person sees first."""
    stage.window.go_to("Load")


def tour(stage: Stage) -> None:
    """Begin the tour."""
    stage.window.commands.tour.start()


def load(stage: Stage) -> None:
    """Open the sample."""
    stage.window.commands.tour.end()
    stage.page.open_sample()
    stage.wait(lambda: bool(stage.window.document.images), "the sample")


def prepare(stage: Stage) -> None:
    """Put a smoothing step in, and show before and after."""
    stage.window.go_to("Prepare")
    stage.settle()
    page = stage.page
    page.cards.add("gaussian")
    page.before_after.show_box.setChecked(True)
    stage.settle()
    page.before_after.wipe.setValue(page.before_after.wipe.maximum() // 2)
    _scroll_to(page, page.before_after)


def predict(stage: Stage) -> None:
    """Show the models and what they will take."""
    from plantseg_app.run.workflow_edit import nodes_in_group, remove

    document = stage.window.document
    for node in nodes_in_group(document.workflow, "preprocess"):
        document.set_workflow(remove(document.workflow, node))
    stage.window.go_to("Predict")
    stage.wait(lambda: "Looking up" not in stage.page.outlook.text(), "the estimate")


def map_of_boundaries(stage: Stage) -> None:
    """Run the network."""
    stage.page.run_button.click()
    stage.wait(lambda: "boundary" in stage.window.document.results, "the map")


def preview(stage: Stage) -> None:
    """Try the slider on the shown slice."""
    stage.window.go_to("Segment")
    stage.page.preview_as(1)
    stage.wait(lambda: bool(stage.page.preview_label.text()), "the preview")


def segment(stage: Stage) -> None:
    """Make the cells of the whole stack."""
    stage.page.preview_as(0)
    stage.page.run_button.click()
    stage.wait(lambda: stage.window.document.cells is not None, "the cells")


def compare(stage: Stage) -> None:
    """Make larger cells, and show them beside those that were made first."""
    page, document = stage.page, stage.window.document
    page.comparison.keep_copy()
    kept = next(iter(document.results))
    row = page.forms[0][1].rows["beta"]
    row.set_value(0.3)
    row.edited.emit()
    page.run_button.click()
    stage.settle()
    box, way = page.comparison.other_box, page.comparison.way_box
    box.setCurrentIndex(box.findData(kept))
    way.setCurrentIndex(way.findData("side by side"))
    page.comparison.show_comparison()
    _scroll_to(page, page.comparison.told)


def proofread(stage: Stage) -> None:
    """Make the first cells again and take the tools out."""
    page, document = stage.page, stage.window.document
    page.comparison.other_box.setCurrentIndex(0)
    page.comparison.show_comparison()
    row = page.forms[0][1].rows["beta"]
    row.set_value(0.6)
    row.edited.emit()
    page.run_button.click()
    stage.settle()
    for name in list(document.results):
        if name not in ("boundary", "cells"):
            document.remove_result(name)
            stage.window.viewer.remove(name)
    stage.window.viewer.set_visible("boundary", False)
    stage.window.go_to("Proofread")
    stage.page.start_button.click()
    stage.wait(lambda: stage.page.is_correcting, "the tools")


def suspicious(stage: Stage) -> None:
    """List the doubtful cells and go to the first."""
    page = stage.page
    page.act("next_cell")
    stage.wait(lambda: page.suspicious.work is not None, "the list of suspicious cells")
    page.act("next_cell")
    stage.settle()
    page.show_widget(page.suspicious_panel)


def teach(stage: Stage) -> None:
    """Mark the large cells as correct, and show what a network can make of them."""
    corrections, panel = stage.page.corrections, stage.page.teaching
    index = corrections.session.tissue.index
    largest = sorted(index.ids(), key=index.size)[-_MARKED:]
    corrections.do("lock", {"cells": tuple(largest)})
    panel.fold.open()
    stage.settle()
    stage.page.show_widget(panel)


def export(stage: Stage) -> None:
    """Save cells, table and workflow."""
    stage.window.go_to("Measure & export")
    stage.wait(lambda: "cells" in stage.page.summary.text(), "the sizes of the cells")
    stage.settle()
    stage.page.folder_line.set_path(stage.folder / "results")
    stage.page.save_button.click()
    stage.wait(lambda: "Saved" in stage.page.saved.text(), "the files")
    _scroll_to(stage.page, stage.page.saved)


def models(stage: Stage) -> None:
    """Show the bundled model."""
    stage.area("models").choose("membranes-3d")


def batch(stage: Stage) -> None:
    """Run three parts of the sample, and a file that is none."""
    from plantseg_app.io import read_volume, write_volume

    whole = read_volume(SAMPLE)
    images = stage.folder / "images"
    images.mkdir()
    for number, first in enumerate((0, 32, 64), 1):
        part = whole.replace(data=whole.data[:16, first : first + 64, first : first + 64].copy())
        write_volume(images / f"ovule {number}.tif", part)
    (images / "ovule 4.tif").write_bytes(b"no image")
    area = stage.area("batch")
    area.take_paths([images])
    area.start()
    stage.wait(lambda: not area.is_busy, "the batch")
    area.list.selectRow(3)


def training(stage: Stage) -> None:
    """Tune the bundled model on the sample, no longer than a picture needs."""
    area = stage.area("training")
    form = area.form
    form.stacks.take_paths([SAMPLE])
    form.name.setText("my membranes")
    for part, values in (
        ("patches", {"shape_vox": (16, 32, 32)}),
        ("stopping", {"steps": 12}),
        ("validation", {"every": 3}),
    ):
        inner = form.main[part]
        inner.set_step(inner.step().model_copy(update=values))
    form.split.set_step(form.split.step().model_copy(update={"fraction": 0.3}))
    stage.wait(area.view.start_button.isEnabled, "the estimate")
    area.view.start_button.click()
    stage.wait(lambda: not area.is_busy, "the training")


CHAPTERS: dict[str, Callable[[Stage], None]] = {
    "start": start,
    "tour": tour,
    "load": load,
    "prepare": prepare,
    "predict": predict,
    "map": map_of_boundaries,
    "preview": preview,
    "segment": segment,
    "compare": compare,
    "proofread": proofread,
    "suspicious": suspicious,
    "teach": teach,
    "export": export,
    "models": models,
    "batch": batch,
    "training": training,
}
"""What leads to each picture, in order; each goes on where the one before it ended."""


def _scroll_to(page: Any, widget: Any) -> None:
    from PySide6.QtWidgets import QApplication, QScrollArea

    QApplication.processEvents()
    area = page.findChild(QScrollArea)
    area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())
    area.ensureWidgetVisible(widget)


def make(
    output: Path,
    until: str = "",
    theme: str = "dark",
    font_size_pt: int = 10,
    size: tuple[int, int] = (1280, 800),
) -> list[Path]:
    """Make the pictures up to `until` (all by default) in the folder `output`, and return their files."""
    output.mkdir(parents=True, exist_ok=True)
    # Not a name by chance: it is seen in pictures.
    folder = Path(tempfile.gettempdir()) / "ovules"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    made = []
    stage = Stage(folder, theme, font_size_pt, size)
    try:
        for name, lead_there in CHAPTERS.items():
            lead_there(stage)
            made.append(output / f"{name}.png")
            stage.save(made[-1])
            if name == until:
                break
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)
    return made


def main() -> None:
    """Read the command line and make the pictures."""
    parser = argparse.ArgumentParser(description="Make the pictures of the tutorial with the real window.")
    parser.add_argument("--output", type=Path, default=PICTURES, help="folder of the pictures")
    parser.add_argument("--until", choices=list(CHAPTERS), default="", help="last picture to make")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--font-size", type=int, default=10, help="in pt")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=800)
    wanted = parser.parse_args()
    os.environ["NAPARI_CONFIG"] = ""
    with tempfile.TemporaryDirectory() as home:
        # Nothing of the person's own settings, models and sessions is to be seen or changed.
        os.environ["PLANTSEG_APP_HOME"] = home
        make(wanted.output, wanted.until, wanted.theme, wanted.font_size, (wanted.width, wanted.height))


if __name__ == "__main__":
    main()
