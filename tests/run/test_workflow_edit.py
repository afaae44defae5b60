"""Edits of workflows: what a page of the wizard does gives a workflow that is right, or an error and no change."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.core.step import STEPS
from plantseg_app.core.volume import Kind
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError
from plantseg_app.run.workflow_crop import crop_of, with_crop, without_crop
from plantseg_app.run.workflow_edit import (
    add_to_group,
    connect,
    group_of,
    insert_after,
    insert_before,
    move,
    nodes_in_group,
    remove,
    start_from,
    steps_in_group,
    swap,
    with_outputs,
    with_source,
    without_source,
)
from plantseg_app.run.workflows import bundled_workflows, find_workflow

BUNDLED = bundled_workflows()


@pytest.fixture
def gasp() -> Workflow:
    return find_workflow("membranes-gasp")


def is_right(workflow: Workflow) -> None:
    workflow.kinds()
    again = Workflow.from_yaml(workflow.to_yaml())
    assert again == workflow
    assert list(again.nodes) == list(workflow.nodes)
    assert set(workflow.outputs) <= set(workflow.nodes)
    workflow.bind(workflow.sources)
    read = {origin for node in workflow.nodes.values() for origin in node.inputs.values()}
    assert all(source.optional or name in read for name, source in workflow.sources.items())


def draw_edit(draw: Callable, workflow: Workflow) -> Callable[[Workflow], Workflow]:
    nodes = st.sampled_from([*workflow.nodes, "nowhere"])
    origins = st.sampled_from([*workflow.sources, *workflow.nodes])
    steps = st.sampled_from([*STEPS.names(), "no-step"])
    edits = {
        insert_after: (origins, steps),
        insert_before: (nodes, steps),
        swap: (nodes, steps),
        remove: (nodes,),
        move: (nodes, st.sampled_from(["up", "down"])),
        start_from: (nodes,),
        without_source: (origins,),
        with_source: (st.sampled_from(["nuclei", "image", "extra", "cells"]), st.sampled_from(list(Kind))),
        with_crop: (st.sampled_from(["0:4, :, :", ":, 8:24, 8:24", "nonsense"]), st.booleans()),
        without_crop: (),
        with_outputs: (st.lists(nodes, max_size=2),),
        connect: (nodes, st.sampled_from(["nuclei", "boundary", "image", "superpixels"]), st.none() | origins),
    }
    edit = draw(st.sampled_from(list(edits)))
    arguments = [draw(argument) for argument in edits[edit]]
    return lambda given: edit(given, *arguments)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_edits_give_an_error_and_no_change_or_a_right_workflow(data):
    workflow = data.draw(st.sampled_from(BUNDLED))
    for _ in range(data.draw(st.integers(1, 6))):
        before = workflow.to_yaml()
        edit = draw_edit(data.draw, workflow)
        try:
            changed = edit(workflow)
        except RequestError as error:
            assert len(str(error)) > 20
            assert "\n" not in str(error)
            changed = workflow
        assert workflow.to_yaml() == before
        is_right(changed)
        workflow = changed


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_is_inserted_and_removed_again_leaves_no_trace(data):
    workflow = data.draw(st.sampled_from(BUNDLED))
    for _ in range(data.draw(st.integers(0, 3))):
        try:
            workflow = draw_edit(data.draw, workflow)(workflow)
        except RequestError:
            continue
    insert = data.draw(st.sampled_from([insert_after, insert_before]))
    origin = data.draw(st.sampled_from([*workflow.sources, *workflow.nodes]))
    try:
        changed = insert(workflow, origin, data.draw(st.sampled_from(STEPS.names())), "new")
    except RequestError:
        return
    assert "new" in changed.nodes
    assert remove(changed, "new").to_yaml() == workflow.to_yaml()


def test_every_step_lies_in_a_group_and_groups_are_the_folders(gasp):
    assert {group_of(step) for step in STEPS} >= {"preprocess", "predict", "superpixels", "partition", "postprocess"}
    assert group_of(gasp.nodes["cells"].step) == group_of(STEPS.get("gasp")) == "partition"
    assert [step.id for step in steps_in_group("superpixels")] == ["dt-watershed", "seeded-watershed", "watershed"]
    assert nodes_in_group(gasp, "predict") == ["boundary"]
    with pytest.raises(RequestError, match='"partition"'):
        steps_in_group("partitions")


def test_a_step_between_the_image_and_those_who_read_it(gasp):
    smooth = insert_after(gasp, "image", "gaussian", settings={"sigma": 0.5})
    assert smooth.nodes["gaussian"].inputs == {"image": "image"}
    assert smooth.nodes["boundary"].inputs == {"image": "gaussian"}
    twice = insert_before(smooth, "boundary", "gaussian")
    assert twice.nodes["gaussian-2"].inputs == {"image": "gaussian"}
    assert list(twice.nodes) == ["gaussian", "gaussian-2", "boundary", "superpixels", "cells"]
    with pytest.raises(RequestError, match=r"Node \"gasp\": The input \"boundary\".*raw"):
        insert_after(gasp, "image", "gasp")
    with pytest.raises(RequestError, match='has a "cells" already'):
        insert_after(gasp, "image", "gaussian", name="cells")


def test_a_map_may_be_smoothed_for_one_reader_alone(gasp):
    changed = insert_before(gasp, "superpixels", "gaussian")
    assert changed.nodes["superpixels"].inputs["boundary"] == "gaussian"
    assert changed.nodes["cells"].inputs["boundary"] == "boundary"


def test_an_image_that_an_inserted_step_needs_is_added_and_goes_with_it(gasp):
    changed = insert_after(gasp, "cells", "split-merge-by-nuclei")
    assert changed.sources["nuclei"].kind is Kind.LABELS
    inputs = changed.nodes["split-merge-by-nuclei"].inputs
    assert inputs == {
        "labels": "cells",
        "nuclei": "nuclei",
        "boundary": "boundary",
    }
    assert remove(changed, "split-merge-by-nuclei") == gasp


def test_without_superpixels_the_partition_makes_its_own(gasp):
    assert remove(gasp, "superpixels").nodes["cells"].inputs == {"boundary": "boundary"}
    with pytest.raises(RequestError, match='"superpixels" needs boundary and would get raw from "image"'):
        remove(gasp, "boundary")


def test_something_is_left_to_make():
    single = remove(find_workflow("boundary-map"), "superpixels")
    with pytest.raises(RequestError, match="only result"):
        remove(single, "cells")


def test_one_partition_after_another_in_the_same_place(gasp):
    strong = gasp.replace("cells", beta=0.8, linkage="sum")
    multicut = swap(strong, "cells", "multicut")
    assert multicut.nodes["cells"].step.settings()["beta"] == 0.8
    mutex = swap(multicut, "cells", "mutex-watershed")
    lifted = swap(mutex, "cells", "lifted-multicut")
    assert lifted.nodes["cells"].inputs == {"boundary": "boundary", "nuclei": "nuclei", "superpixels": "superpixels"}
    assert lifted.sources["nuclei"].kind is Kind.NUCLEI
    assert not lifted.sources["nuclei"].optional
    assert swap(lifted, "cells", "gasp") == gasp.replace("cells", beta=0.8)


def test_an_image_at_hand_is_used_and_stays_when_it_is_not(gasp):
    with_nuclei = with_source(gasp, "kerne", Kind.NUCLEI)
    lifted = swap(with_nuclei, "cells", "lifted-multicut")
    assert lifted.nodes["cells"].inputs["nuclei"] == "kerne"
    assert swap(lifted, "cells", "gasp") == with_nuclei
    assert without_source(with_nuclei, "kerne") == gasp
    with pytest.raises(RequestError, match='needs "kerne" to make "cells"'):
        lifted.bind(["image"])
    with pytest.raises(RequestError, match='"cells" needs it'):
        without_source(lifted, "kerne")


def test_settings_that_the_new_step_does_not_allow_are_left_behind():
    nuclei = find_workflow("boundary-map").replace("superpixels", threshold=0.3, min_size=7)
    changed = swap(nuclei, "superpixels", "watershed").nodes["superpixels"].step.settings()
    assert (changed["threshold"], changed["min_size"]) == (0.3, 7)
    with pytest.raises(RequestError):
        swap(nuclei, "superpixels", "gaussian")


def test_steps_change_places_and_back(gasp):
    chain = insert_after(insert_after(gasp, "cells", "remove-small"), "remove-small", "fill-holes")
    moved = move(chain, "fill-holes", "up")
    assert moved.nodes["fill-holes"].inputs == {"labels": "cells"}
    assert moved.nodes["remove-small"].inputs == {"labels": "fill-holes", "boundary": "boundary"}
    assert moved.outputs == ("remove-small",)
    assert move(moved, "fill-holes", "down").to_yaml() == chain.to_yaml()
    for node, direction in (("boundary", "up"), ("fill-holes", "down"), ("superpixels", "up"), ("remove-small", "up")):
        with pytest.raises(RequestError, match=r"already|cannot change places"):
            move(chain, node, direction)


def test_only_as_far_as_a_node_needs_only_what_leads_there():
    part = with_outputs(find_workflow("nuclei-guided"), ["boundary"])
    assert (list(part.sources), list(part.nodes), part.outputs) == (["image"], ["boundary"], ("boundary",))
    with pytest.raises(RequestError, match='"boundry"'):
        with_outputs(part, ["boundry"])
    with pytest.raises(RequestError, match="at least one"):
        with_outputs(part, [])


def test_a_map_that_somebody_has_replaces_its_prediction(gasp):
    changed = start_from(gasp, "boundary")
    assert {name: source.kind for name, source in changed.sources.items()} == {"boundary": Kind.BOUNDARY}
    assert changed.nodes == {name: gasp.nodes[name] for name in ("superpixels", "cells")}
    with pytest.raises(RequestError, match="Nothing reads"):
        start_from(gasp, "cells")


def test_one_wire_at_a_time(gasp):
    assert connect(gasp, "cells", "superpixels", None) == remove(gasp, "superpixels")
    with pytest.raises(RequestError, match="needs the input"):
        connect(gasp, "cells", "boundary", None)


def test_a_page_adds_a_step_where_its_group_belongs(gasp):
    chain = add_to_group(add_to_group(gasp, "normalise"), "median")
    assert chain.nodes["boundary"].inputs == {"image": "median"}
    assert chain.nodes["median"].inputs == {"image": "normalise"}
    cropped = with_crop(chain, "0:4, :, :")
    assert cropped.nodes["normalise"].inputs == {"image": "crop"}
    tidy = add_to_group(cropped, "remove-small")
    assert tidy.outputs == ("paste-back",)
    assert tidy.nodes["paste-back"].inputs == {"image": "remove-small"}
    assert tidy.nodes["remove-small"].inputs == {"labels": "cells", "boundary": "boundary"}
    with pytest.raises(RequestError, match="exchange"):
        add_to_group(gasp, "multicut")


def test_a_crop_is_of_all_images_and_of_those_that_come_later():
    cropped = with_crop(find_workflow("membranes-gasp"), "0:4, :, :")
    lifted = swap(cropped, "cells", "lifted-multicut")
    assert lifted.nodes["crop-nuclei"].inputs == {"image": "nuclei"}
    assert lifted.nodes["cells"].inputs["nuclei"] == "crop-nuclei"
    assert swap(lifted, "cells", "gasp") == cropped
    other = with_crop(lifted, ":, 8:16, :")
    assert {node.step.settings()["box"] for node in other.nodes.values() if node.step.id == "crop"} == {":, 8:16, :"}
    assert crop_of(other) == ":, 8:16, :"
    assert crop_of(without_crop(other)) is None


def test_a_crop_of_an_image_that_may_be_missing_is_missing_with_it():
    watershed = swap(find_workflow("boundary-map"), "superpixels", "seeded-watershed")
    masked = connect(with_source(watershed, "tissue", Kind.FOREGROUND), "superpixels", "mask", "tissue")
    bound = with_crop(masked, "0:4, :, :").bind(["boundary", "seeds"])
    assert "mask" not in bound.nodes["superpixels"].inputs
    assert "crop-tissue" not in bound.nodes
