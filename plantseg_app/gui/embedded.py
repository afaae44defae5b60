"""The embedding that is open, and what the card of the model that made it says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError

if TYPE_CHECKING:
    from plantseg_app.algorithms.picking import Embedded
    from plantseg_app.gui.document import Document


class OpenEmbedding(NamedTuple):
    """An embedding of the document: its name, and that of its layer; the volume; the model that made it, or ""."""

    name: str
    volume: Volume
    model: str

    def look_up(self) -> Embedded:
        """Return it with what its model says; slow, because networks are imported for it."""
        from plantseg_app.algorithms.affinity_clustering import DEFAULT_SEPARATION
        from plantseg_app.algorithms.instances import DEFAULT_BANDWIDTH
        from plantseg_app.algorithms.picking import Embedded
        from plantseg_app.steps.cluster.embedding_model import embedding_model

        try:
            known = embedding_model(self.model)
        except RequestError:
            # The model is not here any more.
            known = embedding_model("")
        return Embedded(
            self.volume.data,
            known.bandwidth or DEFAULT_BANDWIDTH,
            known.separation or DEFAULT_SEPARATION,
            known.by_slice,
            known.n_channels,
        )


def open_embedding(document: Document) -> OpenEmbedding | None:
    """Return the newest embedding of the document, None when there is none."""
    result = document.latest(Kind.EMBEDDING)
    if result is not None:
        return OpenEmbedding(result.name, result.volume, model_of(result.workflow, result.name))
    image = next((image for image in document.images.values() if image.volume.kind is Kind.EMBEDDING), None)
    return None if image is None else OpenEmbedding(image.name, image.volume, "")


def model_of(workflow: Workflow, node: str) -> str:
    """Return the model that a node predicts with, "" where it has none."""
    return str(getattr(workflow.nodes[node].step, "model", "")) if node in workflow.nodes else ""
