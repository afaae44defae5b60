"""The networks of a workflow seen as one choice: which nodes run them, what they will take, what fits them.

>>> from plantseg_app.run.workflows import find_workflow
>>> prediction_nodes(find_workflow("nuclei-mask-outline"))
['mask', 'outlines']
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from plantseg_app.algorithms.boxes import checked_box, parse_box
from plantseg_app.core.quantities import human_bytes, human_seconds
from plantseg_app.core.volume import Kind, Shape3, Volume, VoxelSize
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError
from plantseg_app.run.estimate import available_memory, needed_nodes
from plantseg_app.run.prepared import preparation
from plantseg_app.run.workflow_crop import crop_nodes, crop_of, with_crop
from plantseg_app.run.workflow_edit import add_to_group, nodes_in_group, with_outputs
from plantseg_app.run.workflow_wiring import main_port
from plantseg_app.run.workflows import default_workflow, find_workflow, with_model
from plantseg_app.steps.predict.predict import Outlook, Predict
from plantseg_app.steps.preprocess.set_voxel_size import SetVoxelSize
from plantseg_app.zoo.catalogue import find_model
from plantseg_app.zoo.scale import advise_scale

_OWN_TOOLS = ("crop", "paste-back")


def prediction_nodes(workflow: Workflow) -> list[str]:
    """Return the nodes that run a network, in the order in which they do."""
    return nodes_in_group(workflow, "predict")


def predict_step(workflow: Workflow) -> Predict | None:
    """Return the first step that runs a network, or None."""
    steps = [workflow.nodes[name].step for name in prediction_nodes(workflow)]
    return next((step for step in steps if isinstance(step, Predict)), None)


def with_prediction_settings(workflow: Workflow, settings: Mapping[str, Any]) -> Workflow:
    """Return the workflow in which every network runs with these settings.

    Raises
    ------
    RequestError
        If a setting is unknown or out of range, or a map would no longer fit what reads it.
    """
    for name in prediction_nodes(workflow):
        workflow = workflow.replace(name, **settings)
    return workflow


def is_predicted(workflow: Workflow, results: Mapping[str, tuple[Workflow, Volume]], image: Volume | None) -> bool:
    """Whether the maps of the workflow have been made of `image` with exactly these settings.

    Parameters
    ----------
    workflow
        What would be run.
    results
        What made each result, and the result, by node.
    image
        The first source.
    """
    maps = prediction_nodes(workflow)
    if not maps or image is None:
        return False
    for name in maps:
        made_by, volume = results.get(name, (None, None))
        if made_by is None or volume is None or name not in made_by.nodes:
            return False
        now, then = with_outputs(workflow, [name]), with_outputs(made_by, [name])
        if now.nodes != then.nodes or volume.origin != image.origin:
            return False
    return True


# ---------------------------------------------------------------------------------------------------- another model


def workflow_for_model(workflow: Workflow, model: str) -> Workflow:
    """Return the ready-made workflow that suits `model`, with that model, and cropped and prepared as `workflow` is.

    This loads torch.

    Raises
    ------
    RequestError
        If there is no such model, or a step of the preparation does not fit.
    """
    suited = with_model(find_workflow(default_workflow(model)), model)
    for name in preparation(workflow):
        step = workflow.nodes[name].step
        if step.id not in _OWN_TOOLS:
            suited = add_to_group(suited, step.id, step.settings())
    box = crop_of(workflow)
    if box is None:
        return suited
    puts_back = any(workflow.nodes[name].step.id == "paste-back" for name in workflow.outputs)
    return with_crop(suited, box, paste_back=puts_back)


def map_kinds(workflow: Workflow) -> list[Kind]:
    """Return what the networks of a workflow make."""
    kinds = workflow.kinds()
    return [kinds[name] for name in prediction_nodes(workflow)]


def suits_better(workflow: Workflow, model: str) -> Workflow | None:
    """Return another ready-made workflow for `model` where that makes other maps than this one uses, else None.

    This loads torch.
    """
    try:
        suited = workflow_for_model(workflow, model)
    except RequestError:
        return None
    try:
        with_model(workflow, model)
    except RequestError:
        return suited
    return suited if set(map_kinds(suited)) != set(map_kinds(with_model(workflow, model))) else None


# ---------------------------------------------------------------------------------------------------- scale


@dataclasses.dataclass(frozen=True)
class NetworkInput:
    """The image as it reaches the first network.

    Attributes
    ----------
    shape_vox, voxel_size_um
        Its grid; None where nobody said.
    zoom
        By how much its preparation has enlarged it along Y and X.
    """

    shape_vox: Shape3
    voxel_size_um: VoxelSize | None
    zoom: float


@dataclasses.dataclass(frozen=True)
class ScaleState:
    """How the sizes of an image fit the first network of a workflow.

    Attributes
    ----------
    sentence
        For people.
    scale
        For the setting of that name.
    is_known
        Whether the sizes are known well enough to say that they fit.
    can_be_mended
        Whether the settings are others than these sizes ask for.
    """

    sentence: str
    scale: float
    is_known: bool
    can_be_mended: bool


def network_input(workflow: Workflow, image: Volume) -> NetworkInput:
    """Return what becomes of the first source on its way to the network."""
    shape, voxel_size, zoom = image.shape_vox, image.voxel_size_um, 1.0
    for name in preparation(workflow):
        step = workflow.nodes[name].step
        made, voxel_size = _grid_after(step, shape, voxel_size)
        if step.id == "rescale":
            zoom *= math.sqrt(made[1] * made[2] / (shape[1] * shape[2]))
        shape = made
    return NetworkInput(shape, voxel_size, zoom)


def scale_state(workflow: Workflow, image: Volume, cell_diameter_vox: float | None) -> ScaleState:
    """Return whether the network sees cells at a size that it knows.

    Parameters
    ----------
    workflow
        With a network.
    image
        Its first source.
    cell_diameter_vox
        Of a usual cell, in voxels of Y and X of `image`; None when nobody measured one.

    Raises
    ------
    RequestError
        If the workflow has no network, or its model does not exist.
    """
    step = predict_step(workflow)
    if step is None:
        raise RequestError(f"The workflow {workflow.name} runs no network.")
    seen = network_input(workflow, image)
    diameter = None if cell_diameter_vox is None else cell_diameter_vox * seen.zoom
    advice = advise_scale(find_model(step.model).card, seen.shape_vox, seen.voxel_size_um, cell_diameter_vox=diameter)
    known = advice.verdict != "unknown"
    # Without a measured cell the scale that a person has set is as good as any other.
    wrong_scale = known and diameter is not None and not math.isclose(step.scale, advice.scale, rel_tol=0.01)
    not_rescaled = advice.verdict == "rescale" and not step.rescale_to_model
    mend = wrong_scale or not_rescaled
    sentence = advice.sentence
    if not mend and advice.verdict == "rescale" and advice.scale != 1.0:
        sentence = f"The image is shown to the network at scale {step.scale:g}, so that cells have a size it knows."
    elif wrong_scale and advice.verdict == "fits":
        sentence = f"{sentence} But the scale is set to {step.scale:g}; 1 is right."
    return ScaleState(sentence, advice.scale, known, mend)


# ---------------------------------------------------------------------------------------------------- what it takes


@dataclasses.dataclass(frozen=True)
class PredictionOutlook:
    """What the networks of a workflow are expected to take.

    Attributes
    ----------
    outlooks
        Of each network.
    seconds
        Of all steps up to the maps.
    memory_bytes
        Of the hungriest step.
    available_bytes
        Free now.
    """

    outlooks: tuple[Outlook, ...]
    seconds: float
    memory_bytes: int
    available_bytes: int

    @property
    def fits(self) -> bool:
        """Whether there is memory enough."""
        return self.memory_bytes <= self.available_bytes

    @property
    def n_tiles(self) -> int:
        """The tiles of all networks together."""
        return sum(outlook.n_tiles for outlook in self.outlooks)

    @property
    def sentence(self) -> str:
        """Time, device, tiles and memory in words, and what to do where the memory does not suffice."""
        device = ", ".join(dict.fromkeys(outlook.device for outlook in self.outlooks))
        tiles = "1 tile" if self.n_tiles == 1 else f"{self.n_tiles} tiles"
        time = "Less than a second" if self.seconds < 1 else f"About {human_seconds(self.seconds)}"
        memory, free = human_bytes(self.memory_bytes), human_bytes(self.available_bytes)
        text = f"{time} on {device} in {tiles}; {memory} of memory, {free} are free."
        if self.fits:
            return text
        return f"{text} That does not fit: crop the image, choose a smaller scale or tile, or close other programs."


def expect_prediction(workflow: Workflow, sources: Mapping[str, Volume], device: str = "auto") -> PredictionOutlook:
    """Return what running the workflow as far as its maps is expected to take; this loads torch.

    Parameters
    ----------
    workflow
        With at least one network.
    sources
        The images, of which shape and voxel size count.
    device
        On which the networks will run.

    Raises
    ------
    RequestError
        If a model or the device does not exist.
    ResourceError
        If memory cannot suffice whatever the tiles.
    """
    maps = prediction_nodes(workflow)
    part = with_outputs(workflow, maps)
    grids: dict[str, tuple[Shape3, VoxelSize | None]] = {
        name: (sources[name].shape_vox, sources[name].voxel_size_um) for name in part.sources if name in sources
    }
    outlooks: list[Outlook] = []
    seconds, memory = 0.0, 0
    networks: list[tuple[Predict, tuple[str, ...]]] = []
    needed = needed_nodes(part)
    for name in part.order():
        node = part.nodes[name]
        if name not in needed or node.inputs[main_port(node)] not in grids:
            continue
        shape, voxel_size = grids[node.inputs[main_port(node)]]
        grids[name] = _grid_after(node.step, shape, voxel_size)
        if isinstance(node.step, Predict):
            # A network of which several outputs are wanted runs once.
            network = (node.step.replace(output=""), tuple(node.inputs.values()))
            if network in networks:
                continue
            networks.append(network)
            outlooks.append(node.step.outlook(shape, voxel_size, device))
            cost = outlooks[-1].cost
        else:
            cost = node.step.estimate(shape)
        seconds, memory = seconds + cost.seconds, max(memory, cost.memory_bytes)
    return PredictionOutlook(tuple(outlooks), seconds, memory, available_memory())


def _grid_after(step: Any, shape: Shape3, voxel_size: VoxelSize | None) -> tuple[Shape3, VoxelSize | None]:
    made = step.made_shape(shape)
    if isinstance(step, SetVoxelSize) and step.voxel_size_um is not None:
        return made, VoxelSize(*step.voxel_size_um)
    if step.id == "rescale" and voxel_size is not None:
        z, y, x = (edge * n / m for edge, n, m in zip(voxel_size, shape, made, strict=True))
        return made, VoxelSize(z, y, x)
    return made, voxel_size


def grid_box(workflow: Workflow, node: str, shape_vox: Shape3) -> tuple[Shape3, Shape3]:
    """Return which box of the first source the result of a node covers: start and stop, in voxels.

    Parameters
    ----------
    workflow
        The workflow.
    node
        A node before which images are cropped and rescaled at most.
    shape_vox
        (Z, Y, X) of the source.

    >>> from plantseg_app.run.workflows import find_workflow
    >>> cropped = with_crop(find_workflow("membranes-gasp"), "2:6, :, 0:50", paste_back=False)
    >>> grid_box(cropped, "boundary", (10, 100, 100))
    ((2, 0, 0), (6, 100, 50))
    """
    start: Shape3 = (0, 0, 0)
    stop = shape_vox
    box = crop_of(workflow)
    if box is None or not any(name in crop_nodes(workflow) for name in _before(workflow, node)):
        return start, stop
    z, y, x = checked_box(parse_box(box), shape_vox)
    return (z.start, y.start, x.start), (z.stop, y.stop, x.stop)


def _before(workflow: Workflow, node: str) -> list[str]:
    found = []
    while node in workflow.nodes:
        found.append(node)
        node = workflow.nodes[node].inputs[main_port(workflow.nodes[node])]
    return found
