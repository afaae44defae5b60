"""The live preview of the Segment page: what the settings make of the part of the image that is on the screen.

It runs in the preview thread, keeps superpixels and graphs, and appears as a layer of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from plantseg_app.core.quantities import human_seconds
from plantseg_app.core.volume import Volume
from plantseg_app.errors import PlantSegError, RequestError
from plantseg_app.gui.geometry import grid_of
from plantseg_app.run.jobs import count_cells
from plantseg_app.run.preview import Preview, PreviewResult
from plantseg_app.run.preview_box import STACK_LIMIT_VOX, PreviewBox, box_in_view
from plantseg_app.run.workflow_edit import nodes_in_group

if TYPE_CHECKING:
    from plantseg_app.gui.workbench import Workbench

LAYER = "preview"
_DEPTH_WITHOUT_MAP_VOX = 16


class PartitionPreviewer(QObject):
    """Asks for previews and shows the newest.

    Attributes
    ----------
    in_depth
        Whether a block around the shown slice is cut into cells, as the whole image will be, rather than the slice
        alone, which is quicker.

    Signals
    -------
    said
        What is shown, or why there is nothing to show, in one sentence.
    shown
        A preview has been painted.
    """

    said = Signal(str)
    shown = Signal()

    def __init__(self, bench: Workbench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self.in_depth = False
        self._preview = Preview()
        self._is_wanted = False
        self._hidden: tuple[str, ...] = ()
        bench.runner.preview_failed.connect(self._say_failure)

    def request(self) -> None:
        """Compute the preview for the settings and the view as they are now; the newest request wins.

        Raises
        ------
        RequestError
            If an image is missing, or nothing of it is on the screen.
        """
        document = self.bench.document
        workflow = document.workflow
        # The answers of networks stand for their nodes, as far as they were made with these settings.
        maps = {node: document.result_for(node) for node in nodes_in_group(workflow, "predict")}
        volumes = {name: image.volume for name, image in document.sources().items()}
        volumes |= {node: result.volume for node, result in maps.items() if result is not None}
        box = self._box(has_maps=all(result is not None for result in maps.values()))
        self._is_wanted = True
        self.said.emit("Computing the preview …")
        preview = self._preview
        self.bench.runner.run_preview(lambda: preview.run(workflow, volumes, box), self._show)

    def clear(self) -> None:
        """Take the preview off the canvas; one that is still being computed is not shown."""
        self._is_wanted = False
        viewer = self.bench.viewer
        if LAYER in viewer.layer_names():
            viewer.remove(LAYER)
            for name in self._hidden:
                viewer.set_visible(name, True)
        self._hidden = ()

    def _box(self, has_maps: bool) -> PreviewBox:
        image = self.bench.document.main_image
        visible = None if image is None else self.bench.viewer.visible_box(image.name)
        if image is None or visible is None:
            raise RequestError("Nothing of the image is on the screen; bring it into view (Ctrl+0).")
        shape = image.volume.shape_vox
        first = [part.start for part in visible]
        last = [part.stop for part in visible]
        if shape[0] > 1 and last[0] - first[0] == 1 and (self.in_depth or not has_maps):
            # A network of three dimensions needs more than one slice to see anything.
            depth = STACK_LIMIT_VOX[0] if self.in_depth else _DEPTH_WITHOUT_MAP_VOX
            begin = max(0, min(first[0] - depth // 2, shape[0] - depth))
            first[0], last[0] = begin, min(shape[0], begin + depth)
        box = box_in_view(first, last, shape)
        return box if image.volume.place is None else _moved(box, image.volume)

    def _show(self, result: PreviewResult) -> None:
        if not self._is_wanted:
            return
        made = result.main
        self._hide_cells()
        self.bench.viewer.show_array(made.data, made.kind, grid_of(made), LAYER)
        count = f"{count_cells(made.data)} cells in view" if made.kind.is_labels else made.kind.value
        self.said.emit(f"{count} ({result.title}; {human_seconds(result.seconds)})")
        self.shown.emit()

    def _hide_cells(self) -> None:
        """Two segmentations on top of each other cannot be told apart."""
        viewer = self.bench.viewer
        if LAYER not in viewer.layer_names():
            labels = {name for name, result in self.bench.document.results.items() if result.volume.kind.is_labels}
            self._hidden = tuple(name for name in viewer.visible_names() if name in labels)
            for name in self._hidden:
                viewer.set_visible(name, False)

    def _say_failure(self, text: str) -> None:
        if self._is_wanted:
            self.said.emit(text)


def _moved(box: PreviewBox, volume: Volume) -> PreviewBox:
    """Return a box in voxels of an image that is itself a crop, in voxels of the full image."""
    if volume.place is None:
        raise PlantSegError("The image is no crop.")
    start, stop = (
        tuple(a + b for a, b in zip(corner, volume.place.start_vox, strict=True))
        for corner in (box.start_vox, box.stop_vox)
    )
    return PreviewBox((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
