"""Embeddings on the canvas: one layer of colours, in which pixels of one object look alike."""

from __future__ import annotations

import functools

from plantseg_app.algorithms.embedding_picture import ColouredEmbedding, fit_colours
from plantseg_app.gui.embedded import OpenEmbedding
from plantseg_app.gui.geometry import grid_of
from plantseg_app.gui.qt_runner import Beside
from plantseg_app.gui.viewer import Viewer


class EmbeddingPictures:
    """Finds the colours of an embedding beside the window, and shows it; later only what is in sight is computed.

    Parameters
    ----------
    viewer
        The canvas.
    beside
        The thread for small things.
    """

    def __init__(self, viewer: Viewer, beside: Beside) -> None:
        self._viewer = viewer
        self._beside = beside
        self._wanted: dict[str, OpenEmbedding] = {}

    def show(self, embedding: OpenEmbedding) -> None:
        """Show an embedding as the layer of its name, as soon as its colours are known."""
        self._wanted[embedding.name] = embedding
        self._beside.ask(
            functools.partial(_coloured, embedding),
            functools.partial(self._take, embedding),
            lambda _problem: self._viewer.show(embedding.volume, embedding.name),
        )

    def forget(self, name: str) -> None:
        """Show the embedding of this name no longer, even if its colours are on their way."""
        self._wanted.pop(name, None)
        self._viewer.remove(name)

    def _take(self, embedding: OpenEmbedding, picture: ColouredEmbedding) -> None:
        now = self._wanted.get(embedding.name)
        if now is not None and now.volume is embedding.volume:
            self._viewer.show_colours(picture, grid_of(embedding.volume), embedding.name)


def _coloured(embedding: OpenEmbedding) -> ColouredEmbedding:
    known = embedding.look_up()
    return ColouredEmbedding(known.data, fit_colours(known.data, known.n_channels), known.n_channels)
