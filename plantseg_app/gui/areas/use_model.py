"""Adding a model to the person's own, and letting the open document work with it; for several areas."""

from __future__ import annotations

from pathlib import Path

from plantseg_app.errors import PlantSegError
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.workflows import workflow_with_model
from plantseg_app.zoo.card import CARD_FILE, ModelCard
from plantseg_app.zoo.catalogue import list_models
from plantseg_app.zoo.library import add_model


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


def add_under_free_id(folder: Path) -> str:
    """Copy a model among the person's own, under an id that is free, and return the id.

    A model that was added before is not added again.

    Raises
    ------
    RequestError, InputError
        If the folder is no model, or is damaged.
    """
    if not (folder / CARD_FILE).is_file():
        # Says what a model's folder looks like.
        return add_model(folder).card.id
    wanted = ModelCard.read(folder)
    cards = [model.card for model in list_models()]
    for card in cards:
        if card.weights.sha256 == wanted.weights.sha256:
            return card.id
    taken, model_id, count = {card.id for card in cards}, wanted.id, 1
    while model_id in taken:
        count += 1
        model_id = f"{wanted.id}-{count}"
    return add_model(folder, None if model_id == wanted.id else model_id).card.id
