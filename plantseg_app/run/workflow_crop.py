"""A box of the image to work on, recorded in the workflow: cut out first of all, and put back in its place at the end.

>>> from plantseg_app.run.workflows import find_workflow
>>> cropped = with_crop(find_workflow("nuclei-guided"), "0:16, :, 10:200")
>>> [name for name in cropped.nodes if name.startswith(("crop", "paste"))], cropped.outputs
(['crop', 'crop-nuclei', 'paste-back'], ('paste-back',))
>>> crop_of(cropped)
'0:16, :, 10:200'
>>> without_crop(cropped) == find_workflow("nuclei-guided")
True
"""

from __future__ import annotations

from plantseg_app.core.step import Step
from plantseg_app.core.workflow import Workflow
from plantseg_app.run.workflow_edit import insert_after, remove
from plantseg_app.run.workflow_wiring import main_port, readers

_CROP, _PASTE_BACK = "crop", "paste-back"


def with_crop(workflow: Workflow, box: str, paste_back: bool = True) -> Workflow:
    """Return the workflow that works on a box of all its images.

    Parameters
    ----------
    workflow
        With or without a crop; an earlier one of all images is replaced.
    box
        As the setting of the step crop: ``4:20, :, 10:100`` for Z, Y, X.
    paste_back
        Whether results are put back in their place, with 0 around; else they are as large as the box and remember
        their place.

    Raises
    ------
    RequestError
        If the box cannot be read.
    """
    changed = without_crop(workflow)
    main = next(iter(changed.sources), None)
    for source in list(changed.sources):
        if readers(changed, source):
            name = _CROP if source == main else f"{_CROP}-{source}"
            changed = insert_after(changed, source, _CROP, _free(changed, name), {"box": box})
    for output in changed.outputs if paste_back else ():
        name = _PASTE_BACK if output == changed.outputs[0] else f"{_PASTE_BACK}-{output}"
        changed = insert_after(changed, output, _PASTE_BACK, _free(changed, name))
    return changed


def without_crop(workflow: Workflow) -> Workflow:
    """Return the workflow that works on whole images again; what was cropped further down stays so."""
    changed = workflow
    for node in crop_nodes(workflow) + [name for name in workflow.outputs if _step(workflow, name).id == _PASTE_BACK]:
        changed = remove(changed, node)
    return changed


def crop_of(workflow: Workflow) -> str | None:
    """Return the box that is cut out of the images first of all, or None."""
    crops = crop_nodes(workflow)
    return str(_step(workflow, crops[0]).settings()["box"]) if crops else None


def crop_nodes(workflow: Workflow) -> list[str]:
    """Return the crops that work on a source directly."""
    return [
        name
        for name, node in workflow.nodes.items()
        if node.step.id == _CROP and node.inputs[main_port(node)] in workflow.sources
    ]


def _step(workflow: Workflow, name: str) -> Step:
    return workflow.nodes[name].step


def _free(workflow: Workflow, name: str) -> str | None:
    """Return `name`, or None, for a name by itself, where it is taken."""
    return None if name in workflow.nodes or name in workflow.sources else name
