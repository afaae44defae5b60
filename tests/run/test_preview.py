"""The live preview: what the steps themselves make of the box in view, with nothing done twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, Place, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import Cancelled, RequestError
from plantseg_app.run.preview import Preview, preview_signature
from plantseg_app.run.preview_box import SLICE_LIMIT_VOX, STACK_LIMIT_VOX, PreviewBox, box_in_view
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflow_crop import with_crop
from plantseg_app.run.workflow_edit import add_to_group, connect, insert_after, swap, with_source
from plantseg_app.run.workflows import find_workflow
from plantseg_app.steps.partition import superpixel_partition

BOX = PreviewBox((1, 4, 8), (7, 60, 64))
SLICE = PreviewBox((3, 0, 0), (4, 64, 64))


@pytest.fixture(scope="module")
def volumes(make_tissue) -> dict[str, Volume]:
    tissue = make_tissue((8, 64, 72), seed=3)
    inside = np.where(tissue.boundary < 0.15, 1 - tissue.boundary, np.float32(0))
    maps = {
        "boundary": Volume(tissue.boundary, Kind.BOUNDARY, (0.3, 0.2, 0.2)),
        "nuclei": Volume(inside, Kind.NUCLEI, (0.3, 0.2, 0.2)),
    }
    seeds = np.where(inside > 0.9, tissue.labels, np.uint32(0))
    return {**maps, "seeds": Volume(seeds, Kind.LABELS, (0.3, 0.2, 0.2))}


def cut(volume: Volume, box: PreviewBox) -> Volume:
    z, y, x = (slice(a, b) for a, b in zip(box.start_vox, box.stop_vox, strict=True))
    return volume.replace(data=np.ascontiguousarray(volume.data[..., z, y, x]))


def workflows() -> dict[str, tuple[Workflow, str, list[dict]]]:
    """Workflows, the node whose settings change, and the settings."""
    plain = find_workflow("boundary-map")
    betas = [{"beta": 0.3}, {"beta": 0.8}, {"beta": 0.8, "min_size": 400}]
    return {
        "gasp": (plain, "cells", [*betas, {"linkage": "sum"}]),
        "own-superpixels": (swap(plain, "superpixels", "dt-watershed"), "superpixels", [{"threshold": 0.3}]),
        "multicut": (swap(plain, "cells", "multicut"), "cells", [*betas, {"solver": "fusion-moves"}]),
        "lifted": (swap(plain, "cells", "lifted-multicut"), "cells", [*betas, {"graph_depth": 2}]),
        "mutex": (swap(plain, "cells", "mutex-watershed"), "cells", betas),
        "seeded": (swap(plain, "superpixels", "seeded-watershed"), "superpixels", [{"sigma": 2.0}]),
        "watershed": (swap(plain, "superpixels", "watershed"), "superpixels", [{"threshold": 0.2}, {"min_size": 9}]),
        "tidied": (add_to_group(add_to_group(plain, "remove-small"), "smooth-labels"), "cells", betas),
    }


@pytest.mark.parametrize("box", [BOX, SLICE], ids=["stack", "slice"])
@pytest.mark.parametrize("name", workflows())
def test_it_is_what_the_steps_make_of_the_box(name, box, volumes):
    workflow, node, changes = workflows()[name]
    given = {source: volumes[source] for source in workflow.sources}
    preview = Preview(n_threads=2)
    for change in [{}, *changes, {}]:
        changed = workflow.replace(node, **change)
        shown = preview.run(changed, given, box).main
        expected = Runner(n_threads=1).run(changed, {key: cut(volume, box) for key, volume in given.items()})
        np.testing.assert_array_equal(shown.data, expected[workflow.outputs[0]].data)
        assert shown.place == Place(box.start_vox, box.stop_vox, (8, 64, 72), (0.3, 0.2, 0.2))
        assert shown.voxel_size_um == (0.3, 0.2, 0.2)


def test_voxels_joined_without_superpixels_and_maps_that_are_there_already(volumes):
    mutex = find_workflow("membranes-mutex").replace("cells", stride=(1, 4, 4), reach=8)
    nuclei = find_workflow("nuclei-mask-outline")
    box = PreviewBox((2, 0, 0), (5, 40, 40))
    boundary, inside = cut(volumes["boundary"], box), cut(volumes["nuclei"], box)
    preview = Preview()
    for beta in (0.4, 0.7):
        changed = mutex.replace("cells", beta=beta)
        shown = preview.run(changed, {"boundary": volumes["boundary"]}, box)
        step = changed.nodes["cells"].step
        np.testing.assert_array_equal(shown.main.data, run_step(step, {"boundary": boundary}).data)
        step = nuclei.replace("nuclei", beta=beta).nodes["nuclei"].step
        maps = {"mask": volumes["nuclei"], "outlines": volumes["boundary"]}
        shown = preview.run(nuclei.replace("nuclei", beta=beta), maps, box)
        np.testing.assert_array_equal(shown.main.data, run_step(step, {"mask": inside, "outline": boundary}).data)


def run_step(step, inputs):
    return step.execute(inputs, QuietContext())


def test_without_a_map_the_box_is_predicted_once(volumes):
    raw = volumes["boundary"].replace(data=(volumes["boundary"].data * 200).astype(np.uint8), kind=Kind.RAW)
    workflow, box, preview = find_workflow("membranes-gasp"), PreviewBox((0, 0, 0), (8, 40, 40)), Preview(device="cpu")
    first = preview.run(workflow, {"image": raw}, box)
    assert set(first.computed) == {"boundary", "superpixels", "cells"}
    expected = Runner(device="cpu").run(workflow, {"image": cut(raw, box)})["cells"]
    np.testing.assert_array_equal(first.main.data, expected.data)
    assert preview.run(workflow.replace("cells", beta=0.5), {"image": raw}, box).computed == ("cells",)


def test_a_slider_runs_the_partition_alone(volumes, monkeypatch):
    prepared = []
    original = superpixel_partition.prepare
    monkeypatch.setattr(superpixel_partition, "prepare", lambda *given: prepared.append(1) or original(*given))
    workflow, preview = add_to_group(find_workflow("boundary-map"), "remove-small"), Preview()
    given = {"boundary": volumes["boundary"]}
    assert preview.run(workflow, given, BOX).computed == ("superpixels", "cells", "remove-small")
    for beta in (0.2, 0.9):
        assert preview.run(workflow.replace("cells", beta=beta), given, BOX).computed == ("cells", "remove-small")
    assert len(prepared) == 1
    assert preview.run(workflow.replace("cells", beta=0.2), given, BOX).computed == ()
    assert preview.run(workflow.replace("superpixels", threshold=0.2), given, BOX).computed[0] == "superpixels"
    assert len(prepared) == 2
    assert preview.run(workflow, given, SLICE).computed == ("superpixels", "cells", "remove-small")


def test_an_image_that_was_painted_in_is_seen(volumes):
    seeds = volumes["seeds"].replace(data=volumes["seeds"].data.copy())
    workflow = swap(
        find_workflow("boundary-map").replace("cells", beta=1.0, min_size=0), "superpixels", "seeded-watershed"
    )
    preview = Preview()
    before = preview.run(workflow, {"boundary": volumes["boundary"], "seeds": seeds}, BOX)
    seeds.data[2:4, 10:14, 10:14] = 999
    after = preview.run(workflow, {"boundary": volumes["boundary"], "seeds": seeds}, BOX)
    assert "superpixels" in after.computed
    assert not np.array_equal(before.main.data, after.main.data)


def test_a_crop_of_the_workflow_bounds_the_view(volumes):
    given = {"boundary": volumes["boundary"]}
    cropped = with_crop(find_workflow("boundary-map"), "2:6, :, 0:40")
    shown = Preview().run(cropped, given, BOX)
    assert shown.box == PreviewBox((2, 4, 8), (6, 60, 40))
    assert shown.main.shape_vox == (4, 56, 32)
    assert list(shown.outputs) == ["cells"]
    part = cut(volumes["boundary"], BOX).replace(place=Place(BOX.start_vox, BOX.stop_vox, (8, 64, 72)))
    of_part = Preview().run(cropped, {"boundary": part}, PreviewBox((0, 0, 0), (8, 64, 72)))
    assert of_part.box == PreviewBox((3, 4, 8), (7, 60, 48))
    with pytest.raises(RequestError, match="move the view"):
        Preview().run(cropped, given, PreviewBox((7, 0, 0), (8, 64, 64)))


def test_a_map_of_a_part_or_at_another_scale_is_found_where_it_lies(volumes):
    boundary, box = volumes["boundary"], PreviewBox((2, 16, 8), (6, 48, 56))
    part = cut(boundary, box).replace(place=Place(box.start_vox, box.stop_vox, (8, 64, 72)))
    workflow = find_workflow("membranes-gasp")
    image = Volume(np.zeros((8, 64, 72), np.uint8), Kind.RAW, (0.3, 0.2, 0.2))
    from_part = Preview().run(workflow, {"image": image, "boundary": part}, BOX)
    assert from_part.box == PreviewBox((2, 16, 8), (6, 48, 56))
    inside = {"boundary": cut(boundary, from_part.box)}
    expected = Runner().run(find_workflow("boundary-map"), inside)["cells"]
    np.testing.assert_array_equal(from_part.main.data, expected.data)
    halved = boundary.replace(data=boundary.data[:, ::2, ::2], voxel_size_um=(0.3, 0.4, 0.4))
    from_half = Preview().run(workflow, {"image": image, "boundary": halved}, box)
    assert from_half.main.shape_vox == (4, 16, 24)
    assert (from_half.main.place.start_vox, from_half.main.place.stop_vox) == (box.start_vox, box.stop_vox)


def test_optional_images_may_be_absent_and_needed_ones_may_not(volumes):
    plain = swap(find_workflow("boundary-map"), "superpixels", "seeded-watershed")
    given = {"boundary": volumes["boundary"], "seeds": volumes["seeds"]}
    masked = connect(with_source(plain, "tissue", Kind.FOREGROUND), "superpixels", "mask", "tissue")
    masked = insert_after(masked, "tissue", "gaussian")
    without = Preview().run(masked, given, BOX).main.data
    np.testing.assert_array_equal(without, Preview().run(plain, given, BOX).main.data)
    with pytest.raises(RequestError, match='needs "seeds"'):
        Preview().run(plain, {"boundary": volumes["boundary"]}, BOX)
    with pytest.raises(RequestError, match="needs an image"):
        Preview().run(plain, {}, BOX)


def test_it_stops_when_asked_to_and_goes_on_later(volumes):
    workflow, preview, given = find_workflow("boundary-map"), Preview(n_threads=1), {"boundary": volumes["boundary"]}
    calls = []

    def check():
        calls.append(1)
        if len(calls) > limit:
            raise Cancelled("A newer one is wanted.")

    for limit in (0, 2, 4):  # noqa: B007 - read by check
        calls.clear()
        with pytest.raises(Cancelled):
            preview.run(workflow, given, BOX, check)
    np.testing.assert_array_equal(
        preview.run(workflow, given, BOX).main.data, Preview().run(workflow, given, BOX).main.data
    )


def test_many_threads_see_what_one_sees(volumes):
    given = {"boundary": volumes["boundary"]}
    requests = [find_workflow("boundary-map").replace("cells", beta=beta / 10) for beta in range(2, 10)] * 3
    expected = [Preview().run(workflow, given, BOX).main.data for workflow in requests[:8]] * 3
    preview, barrier = Preview(limit_bytes=600_000), threading.Barrier(4)

    def run(workflow):
        barrier.wait(timeout=30)
        return preview.run(workflow, given, BOX).main.data

    with ThreadPoolExecutor(4) as pool:
        for shown, right in zip(pool.map(run, requests), expected, strict=True):
            np.testing.assert_array_equal(shown, right)


def test_what_is_kept_is_bounded(volumes):
    given, preview = {"boundary": volumes["boundary"]}, Preview(limit_bytes=300_000)
    for beta in (0.3, 0.5, 0.7):
        preview.run(find_workflow("boundary-map").replace("cells", beta=beta), given, BOX)
        assert 0 < preview.size_bytes <= 300_000
    preview.clear()
    assert preview.size_bytes == 0


def test_a_preview_says_what_it_shows(volumes):
    workflow = find_workflow("boundary-map")
    changed = workflow.replace("cells", beta=0.25)
    shown = Preview().run(changed, {"boundary": volumes["boundary"]}, BOX)
    assert shown.title == "GASP, beta 0.25"
    assert shown.signature == preview_signature(changed, BOX)
    assert preview_signature(workflow, BOX) != shown.signature != preview_signature(changed, SLICE)
    assert preview_signature(with_source(changed, "extra", Kind.RAW), BOX) == shown.signature


@given(st.tuples(*[st.tuples(st.floats(-900, 900), st.floats(0.1, 3000))] * 3), st.tuples(*[st.integers(1, 1500)] * 3))
def test_the_box_in_view_is_inside_the_image_and_small_enough(view, shape):
    start = [low for low, _ in view]
    stop = [low + length for low, length in view]
    box = box_in_view(start, stop, shape)
    sizes = [b - a for a, b in zip(box.start_vox, box.stop_vox, strict=True)]
    assert all(0 <= a < b <= n for a, b, n in zip(box.start_vox, box.stop_vox, shape, strict=True))
    limit = SLICE_LIMIT_VOX if sizes[0] == 1 else STACK_LIMIT_VOX
    assert all(size <= most for size, most in zip(sizes, limit, strict=True))
