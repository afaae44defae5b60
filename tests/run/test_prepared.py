"""What a preview of the preparation shows is what the steps make."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError
from plantseg_app.run.cache import MemoryCache
from plantseg_app.run.prepared import PreparedSlice, preparation, prepared_slice
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflow_crop import with_crop
from plantseg_app.run.workflow_edit import add_to_group, with_outputs
from plantseg_app.run.workflows import find_workflow

SHAPE = (12, 40, 36)


@pytest.fixture
def image() -> Volume:
    data = np.random.default_rng(0).gamma(2.0, 40.0, SHAPE).astype(np.float32)
    return Volume(data, Kind.RAW, voxel_size_um=(0.5, 0.2, 0.2))


def workflow_with(*steps: tuple[str, dict[str, object]], box: str = "") -> Workflow:
    workflow = find_workflow("membranes-gasp")
    for step, settings in steps:
        workflow = add_to_group(workflow, step, settings)
    return with_crop(workflow, box, paste_back=False) if box else workflow


def whole(workflow: Workflow, image: Volume) -> Volume:
    end = preparation(workflow)[-1]
    return Runner().run(with_outputs(workflow, [end]), {"image": image})[end]


def look(workflow: Workflow, image: Volume, at: int, seconds: float = 10.0) -> PreparedSlice | None:
    return prepared_slice(workflow, {"image": image}, at, Runner(MemoryCache(10**8)), QuietContext(), seconds)


NORMALISE, SMOOTH = ("normalise", {}), ("gaussian", {"sigma": 1.0})


def test_the_preparation_is_what_stands_between_image_and_network() -> None:
    workflow = workflow_with(NORMALISE, SMOOTH, box="2:10, :, :")
    assert preparation(workflow) == ["crop", "normalise", "gaussian"]
    assert preparation(find_workflow("membranes-gasp")) == []
    assert preparation(add_to_group(find_workflow("nuclei-mask-outline"), "median")) == ["median"]


def test_a_small_stack_is_shown_exactly_as_a_run_makes_it(image: Volume) -> None:
    workflow = workflow_with(NORMALISE, SMOOTH)
    seen = look(workflow, image, 5)
    assert seen is not None
    assert seen.is_exact
    np.testing.assert_array_equal(seen.image.data[0], whole(workflow, image).data[5])
    assert seen.image.place is not None
    assert (seen.image.place.start_vox[0], seen.image.place.full_shape_vox) == (5, SHAPE)


def test_a_crop_is_looked_at_in_its_place_and_not_beside_it(image: Volume) -> None:
    workflow = workflow_with(NORMALISE, box="4:9, 8:30, :")
    seen = look(workflow, image, 6)
    assert seen is not None
    np.testing.assert_array_equal(seen.image.data[0], whole(workflow, image).data[2])
    assert seen.image.place is not None
    assert seen.image.place.start_vox == (6, 8, 0)
    assert look(workflow, image, 3) is None
    assert look(workflow, image, 9) is None


def test_of_a_large_stack_slices_nearby_are_looked_at(image: Volume) -> None:
    workflow = workflow_with(("median", {"per_slice": True}))
    seen = look(workflow, image, 7, seconds=1e-9)
    assert seen is not None
    assert not seen.is_exact
    assert seen.image.shape_vox == (1, *SHAPE[1:])
    assert seen.image.place is not None
    assert seen.image.place.start_vox == (7, 0, 0)
    np.testing.assert_array_equal(seen.image.data[0], whole(workflow, image).data[7])


def test_a_filter_in_space_sees_enough_neighbours_where_there_is_time_for_them(image: Volume) -> None:
    workflow = workflow_with(("gaussian", {"sigma": 0.5}))
    expected = workflow.nodes["gaussian"].step.estimate(SHAPE).seconds
    seen = look(workflow, image, 6, seconds=0.8 * expected)
    assert seen is not None
    assert not seen.is_exact
    np.testing.assert_allclose(seen.image.data[0], whole(workflow, image).data[6], rtol=1e-5)


def test_a_rescaled_image_is_cut_at_the_same_depth(image: Volume) -> None:
    workflow = workflow_with(("rescale", {"factor": [0.5, 1.0, 1.0]}), NORMALISE)
    seen = look(workflow, image, 7)
    assert seen is not None
    np.testing.assert_array_equal(seen.image.data[0], whole(workflow, image).data[3])


def test_a_projection_is_seen_at_every_depth(image: Volume) -> None:
    workflow = workflow_with(("max-projection", {}))
    for at in (0, 11):
        seen = look(workflow, image, at)
        assert seen is not None
        np.testing.assert_array_equal(seen.image.data[0], image.data.max(axis=0))


def test_a_step_that_refuses_the_image_says_so(image: Volume) -> None:
    with pytest.raises(RequestError, match="channel 3"):
        look(workflow_with(("select-channel", {"channel": 3})), image, 0)
