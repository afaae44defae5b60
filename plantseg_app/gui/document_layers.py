"""Keeps the layers of the canvas in step with the document: one for each open image and each result."""

from __future__ import annotations

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.gui.document import Document
from plantseg_app.gui.embedded import OpenEmbedding, model_of
from plantseg_app.gui.embedding_pictures import EmbeddingPictures
from plantseg_app.gui.viewer import Viewer


class DocumentLayers:
    """Shows what is open; layers that somebody else shows, such as previews, are left alone."""

    def __init__(self, document: Document, viewer: Viewer, pictures: EmbeddingPictures) -> None:
        self._document = document
        self._viewer = viewer
        self._pictures = pictures
        self._shown: dict[str, Volume] = {}
        document.images_changed.connect(self._show_images)

    def show_result(self, name: str) -> None:
        """Show a result of the document on top, in place of an older one of that name."""
        result = self._document.results[name]
        volume = result.volume
        self._show(volume, name, model_of(result.workflow, name))
        if volume.kind.is_labels:
            # The map has done its work; below the cells it only darkens them.
            for other, result in self._document.results.items():
                if not result.volume.kind.is_labels:
                    self._viewer.set_visible(other, False)

    def _show(self, volume: Volume, name: str, model: str = "") -> None:
        if volume.kind is Kind.EMBEDDING:
            self._pictures.show(OpenEmbedding(name, volume, model))
        else:
            self._viewer.show(volume, name)

    def _show_images(self) -> None:
        for name in self._shown.keys() - self._document.images.keys():
            self._pictures.forget(name)
            del self._shown[name]
        sizes = [image.volume.voxel_size_um for image in self._document.images.values()]
        known = next((size for size in sizes if size is not None), None)
        for name, image in self._document.images.items():
            # An image of unknown scale is laid over the others as if it had theirs.
            size, before = image.volume.voxel_size_um or known, self._shown.get(name)
            if before is None or before.data is not image.volume.data or before.voxel_size_um != size:
                self._shown[name] = image.volume.replace(voxel_size_um=size)
                self._show(self._shown[name], name)
