"""The steps that prepare an image for the network: which these are, and what they make of one slice of it.

A preview must be there well under a second, so a large stack is prepared around the slice only.

>>> from plantseg_app.run.workflow_edit import add_to_group
>>> from plantseg_app.run.workflows import find_workflow
>>> preparation(add_to_group(find_workflow("membranes-gasp"), "gaussian"))
['gaussian']
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from plantseg_app.core.context import Context
from plantseg_app.core.step import Step, make_step
from plantseg_app.core.volume import Place, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflow_edit import group_of, with_outputs
from plantseg_app.run.workflow_wiring import main_port, readers

PREVIEW_SECONDS = 0.4
"""What preparing for a preview may take, by what the steps expect of themselves."""

_MOST_SLICES_AROUND = 16


@dataclasses.dataclass(frozen=True)
class PreparedSlice:
    """What the preparation makes of a slice.

    Attributes
    ----------
    image
        The slice, Z = 1; at its place in the full image.
    is_exact
        Whether it is what a run will make; else grey values may differ a little, because not all of the stack was
        looked at.
    """

    image: Volume
    is_exact: bool


def preparation(workflow: Workflow) -> list[str]:
    """Return the preprocessing steps that follow the first source, one behind the other."""
    found: list[str] = []
    end = next(iter(workflow.sources), "")
    while True:
        following = readers(workflow, end)
        node = workflow.nodes[following[0][0]] if len(following) == 1 else None
        if node is None or group_of(node.step) != "preprocess" or main_port(node) != following[0][1]:
            return found
        end = following[0][0]
        found.append(end)


def prepared_slice(
    workflow: Workflow,
    sources: Mapping[str, Volume],
    slice_vox: int,
    runner: Runner,
    context: Context,
    seconds: float = PREVIEW_SECONDS,
) -> PreparedSlice | None:
    """Return what the preparation makes of one slice of the first source, or None where a crop leaves it out.

    Parameters
    ----------
    workflow
        With at least one preprocessing step.
    sources
        The images at hand, by the names that the workflow gives them.
    slice_vox
        Which slice, counted from 0 in the image as it was opened.
    runner
        Runs what must see the whole image; with a cache it does so once.
    context
        For the steps that see a part.
    seconds
        What the steps that keep the voxels may take, by their own estimate, before a part of the stack must do.

    Raises
    ------
    PlantSegError
        As the steps do.
    """
    chain = preparation(workflow)
    steps = {name: workflow.nodes[name].step for name in chain}
    # What moves voxels sees the whole stack, because nobody else can say what becomes of the slice.
    n_whole = max((n + 1 for n, name in enumerate(chain) if not steps[name].keeps_grid), default=0)
    image = sources[next(iter(workflow.sources))]
    begin = _run(workflow, sources, chain[:n_whole], runner) if n_whole else image
    at = _slice_in(begin, image, slice_vox)
    if at is None:
        return None
    rest = chain[n_whole:]
    around = _slices_around([steps[name] for name in rest], begin, seconds)
    if around is None:
        whole = _run(workflow, sources, chain, runner)
        return PreparedSlice(_cut(whole, at, at + 1, context), True)
    first, stop = max(0, at - around), min(begin.shape_vox[0], at + around + 1)
    values = {chain[n_whole - 1] if n_whole else next(iter(workflow.sources)): begin}
    for name in rest:
        for origin in workflow.nodes[name].inputs.values():
            if origin not in values and origin not in rest:
                values[origin] = sources[origin] if origin in sources else _run(workflow, sources, [origin], runner)
    values = {name: _cut(volume, first, stop, context) for name, volume in values.items()}
    for name in rest:
        node = workflow.nodes[name]
        values[name] = node.step.execute({port: values[o] for port, o in node.inputs.items()}, context)
    return PreparedSlice(_cut(values[rest[-1]], at - first, at - first + 1, context), False)


def _run(workflow: Workflow, sources: Mapping[str, Volume], nodes: list[str], runner: Runner) -> Volume:
    part = with_outputs(workflow, nodes[-1:])
    return runner.run(part, {name: sources[name] for name in part.sources if name in sources})[nodes[-1]]


def _slices_around(steps: list[Step], image: Volume, seconds: float) -> int | None:
    """Return how many slices on each side there is time for; None for all of the stack."""
    channels = len(image.data) if image.data.ndim == 4 else 1
    expected = channels * sum(step.estimate(image.shape_vox).seconds for step in steps)
    if expected <= seconds:
        return None
    affordable = image.shape_vox[0] * seconds / expected
    return max(0, min(_MOST_SLICES_AROUND, math.floor((affordable - 1) / 2)))


def _slice_in(volume: Volume, image: Volume, slice_vox: int) -> int | None:
    """Return which slice of `volume` shows the slice `slice_vox` of `image`, which it was made from."""
    n = volume.shape_vox[0]
    outer = image.place.start_vox[0] if image.place is not None else 0
    place = volume.place
    if place is None or place == image.place:
        return min(n - 1, math.floor((slice_vox + 0.5) * n / image.shape_vox[0]))
    if n == 1 and _depth(place) == 1 and place.full_shape_vox[0] == 1:
        # A projection shows all slices in one.
        return 0
    inside = slice_vox + 0.5 + outer - place.start_vox[0]
    if not 0 <= inside < _depth(place):
        return None
    return min(n - 1, math.floor(inside * n / _depth(place)))


def _depth(place: Place) -> int:
    return place.stop_vox[0] - place.start_vox[0]


def _cut(volume: Volume, first: int, stop: int, context: Context) -> Volume:
    if (first, stop) == (0, volume.shape_vox[0]):
        return volume
    return make_step("crop", {"box": f"{first}:{stop}, :, :"}).execute({"image": volume}, context)
