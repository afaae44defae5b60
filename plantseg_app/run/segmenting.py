"""Cells of an image by a model, with the ready-made workflow of its kind: for those who only want to compare models."""

from __future__ import annotations

from plantseg_app.core.volume import Volume
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflows import default_workflow, find_workflow, with_model


def segment_with(model: str, image: Volume, runner: Runner | None = None) -> Volume:
    """Return the cells, or layers of objects, that a model finds in an image.

    Parameters
    ----------
    model
        Id or folder of the model.
    image
        The image.
    runner
        The runner to use, for its events and its cache; a fresh one by default.

    Raises
    ------
    PlantSegError
        As `Runner.run`.
    """
    import plantseg_app.steps  # noqa: F401 - importing fills the registry

    workflow = with_model(find_workflow(default_workflow(model)), model)
    results = (runner or Runner()).run(workflow, dict.fromkeys(workflow.sources, image))
    return results[workflow.outputs[0]]
