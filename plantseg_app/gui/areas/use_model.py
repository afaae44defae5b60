"""Letting the open document work with a model; for several areas."""

from __future__ import annotations

from plantseg_app.errors import PlantSegError
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.workflows import workflow_with_model


def use_model(bench: Workbench, model_id: str) -> None:
    """Put a model into the workflow of the open document, and go to the page where it is run."""
    document = bench.document
    try:
        workflow = workflow_with_model(document.workflow, model_id)
    except PlantSegError as error:
        bench.warn(str(error))
        return
    document.set_workflow(workflow)
    bench.go_to("Predict")
    if not document.images:
        bench.tell(f"The model {model_id} will be used; open an image first.")
