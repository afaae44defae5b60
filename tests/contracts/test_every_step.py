"""What every step promises, checked through the registry: a new step is tested by existing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
import yaml

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.core.context import QuietContext
from plantseg_app.core.describe import FieldDescription, describe_fields
from plantseg_app.core.step import STEPS, SameAs, Step, make_step
from plantseg_app.core.two_part import TwoPartStep
from plantseg_app.core.volume import Kind, Shape3, Volume, VoxelSize
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import InputError, PlantSegError, RequestError

VOXEL_SIZE = VoxelSize(0.5, 0.25, 0.25)
# Steps that do nothing until they are told what: the least a person has to say.
NEEDED_SETTINGS: dict[str, dict[str, object]] = {
    "crop": {"box": ":,:,:"},
    "set-voxel-size": {"voxel_size_um": "0.5,0.25,0.25"},
    "rescale": {"factor": "1,0.5,0.5"},
}
every_step = pytest.mark.parametrize("step_class", list(STEPS), ids=lambda step: step.id)


def tissue(shape: Shape3, kind: Kind) -> Volume:
    """Three cells side by side with a wall between, as each kind would show them."""
    rng = np.random.default_rng(7)
    x = np.arange(shape[2])
    labels = np.broadcast_to((x * 3 // max(shape[2], 1) + 1).astype(np.uint32), shape).copy()
    wall = np.zeros(shape, np.float32)
    wall[..., 1:] = labels[..., 1:] != labels[..., :-1]
    noisy = np.clip(0.1 + 0.8 * wall + 0.02 * rng.standard_normal(shape), 0, 1).astype(np.float32)
    data: np.ndarray = noisy
    if kind is Kind.RAW:
        data = (noisy * 200).astype(np.uint8)
    elif kind in (Kind.FOREGROUND, Kind.NUCLEI):
        data = 1 - noisy
    elif kind is Kind.LABELS:
        data = labels
    elif kind.needs_leading_axis:
        repeated = np.stack([labels if kind.is_labels else noisy] * 3)
        data = repeated
    return Volume(data, kind, VOXEL_SIZE, name="tissue")


def inputs_for(step: type[Step], shape: Shape3, only_needed: bool, choice: int = 0) -> dict[str, Volume]:
    return {
        name: tissue(shape, port.kinds[min(choice, len(port.kinds) - 1)])
        for name, port in step.reads.items()
        if not (only_needed and port.optional)
    }


def build(step: type[Step]) -> Step:
    return make_step(step.id, NEEDED_SETTINGS.get(step.id, {}))


def run(step: Step, inputs: Mapping[str, Volume]) -> Volume:
    """Run; a step may refuse an input with a clear sentence, but must not fail in any other way."""
    return step.execute(inputs, QuietContext(device="cpu", n_threads=1))


@every_step
def test_it_is_named_and_explained(step_class: type[Step]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", step_class.id)
    assert step_class.title
    assert step_class.__doc__
    assert len(step_class.__doc__) > 60
    assert step_class.reads
    for port in step_class.reads.values():
        assert port.kinds
        assert port.help.endswith(".")


@every_step
def test_each_file_holds_one_step(step_class: type[Step]) -> None:
    same_module = [other.id for other in STEPS if other.__module__ == step_class.__module__]
    assert same_module == [step_class.id]
    assert step_class.__module__.rsplit(".", 1)[1] == step_class.id.replace("-", "_")


@every_step
def test_every_field_has_a_help_text_and_a_default(step_class: type[Step]) -> None:
    for name, field in step_class.model_fields.items():
        assert field.description, name
        assert field.description.strip().endswith("."), f"{name}: help texts are sentences"
        assert not field.is_required(), f"{name}: the window needs a value to begin with"
    step_class.from_settings({**NEEDED_SETTINGS.get(step_class.id, {})})


@every_step
def test_settings_survive_yaml(step_class: type[Step]) -> None:
    step = build(step_class)
    assert make_step(step.id, yaml.safe_load(yaml.safe_dump(step.settings()))) == step


@every_step
def test_unknown_settings_are_refused(step_class: type[Step]) -> None:
    with pytest.raises(RequestError, match="no setting"):
        make_step(step_class.id, {"no_such_thing": 1})


@every_step
@pytest.mark.parametrize("shape", [(6, 20, 24), (1, 20, 24), (1, 1, 1), (3, 1, 7)], ids=str)
@pytest.mark.parametrize("only_needed", [True, False], ids=["needed", "all"])
def test_it_runs_on_small_things_and_keeps_its_promises(
    step_class: type[Step], shape: Shape3, only_needed: bool
) -> None:
    step = build(step_class)
    inputs = inputs_for(step_class, shape, only_needed)
    before = {name: volume.data.copy() for name, volume in inputs.items()}
    for volume in inputs.values():
        volume.data.setflags(write=False)  # As volumes from a session's folder are.
    try:
        result = run(step, inputs)
    except PlantSegError as error:
        assert isinstance(error, (InputError, RequestError))
        assert str(error).strip().endswith((".", ")", "?"))
        assert shape != (6, 20, 24), f"an ordinary volume is refused: {error}"
        return
    first = inputs[next(iter(step_class.reads))]
    assert result.kind is step.made_kind({name: volume.kind for name, volume in inputs.items()})
    for name, volume in inputs.items():
        assert np.array_equal(volume.data, before[name]), f"the input {name} was changed"
    if step.keeps_grid:
        assert result.shape_vox == shape
    if step.keeps_grid and step.id != "set-voxel-size":
        assert result.voxel_size_um == first.voxel_size_um
    if result.data.dtype.kind == "f":
        assert np.isfinite(result.data).all()


@every_step
def test_it_gives_the_same_twice(step_class: type[Step]) -> None:
    inputs = inputs_for(step_class, (5, 24, 24), only_needed=True)
    step = build(step_class)
    first, second = run(step, inputs), run(step, inputs)
    assert np.array_equal(first.data, second.data)


@every_step
def test_every_kind_it_says_it_takes_is_taken(step_class: type[Step]) -> None:
    most = max(len(port.kinds) for port in step_class.reads.values())
    for choice in range(most):
        inputs = inputs_for(step_class, (4, 16, 16), only_needed=False, choice=choice)
        made = run(build(step_class), inputs)
        assert made.kind is build(step_class).made_kind({name: v.kind for name, v in inputs.items()})


@pytest.mark.parametrize("only_needed", [True, False])
@pytest.mark.parametrize("step_class", [s for s in STEPS if issubclass(s, TwoPartStep)], ids=lambda step: step.id)
def test_what_was_prepared_serves_all_settings_that_do_not_prepare(
    step_class: type[TwoPartStep], only_needed: bool
) -> None:
    inputs, context = inputs_for(step_class, (5, 32, 32), only_needed), QuietContext(n_threads=1)
    step = step_class()
    prepared = step.prepare(inputs, context)
    fields = {field.name: field for field in describe_fields(step_class)}
    assert set(step.prepared_by) <= set(fields)
    others = [{name: value} for name, field in fields.items() for value in other_values(field)]
    for change in [{}, *(change for change in others if not set(change) & set(step.prepared_by))]:
        changed = step.replace(**change)
        completed = changed.complete(prepared, inputs, context)
        assert np.array_equal(completed.data, run(changed, inputs).data), f"{change} counts in prepare"


def other_values(field: FieldDescription) -> list[object]:
    if field.type == "boolean":
        return [not field.default]
    if field.type == "integer":
        return [field.minimum, 1500]
    if field.type == "number":
        return [*([] if field.exclusive_minimum else [field.minimum]), field.maximum or 10.0, 0.3]
    return [choice for choice in field.choices if choice != field.default]


@every_step
def test_constant_images_do_not_break_it(step_class: type[Step]) -> None:
    for value in (0, 1):
        inputs = {
            name: volume.replace(data=np.full_like(volume.data, value))
            for name, volume in inputs_for(step_class, (4, 16, 16), only_needed=True).items()
        }
        try:
            result = run(build(step_class), inputs)
        except (InputError, RequestError):
            continue
        assert np.isfinite(result.data).all()


@every_step
def test_its_cost_is_a_positive_guess(step_class: type[Step]) -> None:
    small, large = (build(step_class).estimate(shape) for shape in ((1, 64, 64), (64, 256, 256)))
    assert 0 < small.memory_bytes <= large.memory_bytes
    assert 0 <= small.seconds <= large.seconds


@every_step
def test_it_can_stand_in_a_workflow(step_class: type[Step]) -> None:
    step = build(step_class)
    text = yaml.safe_dump(
        {
            "workflow": 1,
            "name": "single",
            "sources": {name: {"kind": port.kinds[0].value} for name, port in step_class.reads.items()},
            "nodes": {
                "node": {"step": step.id, "inputs": {n: n for n in step_class.reads}, "settings": step.settings()}
            },
        }
    )
    workflow = Workflow.from_yaml(text)
    assert workflow.nodes["node"].step == step
    expected = step.made_kind({name: port.kinds[0] for name, port in step_class.reads.items()})
    assert workflow.kinds()["node"] is expected
    if isinstance(step_class.makes, SameAs):
        assert step_class.makes.port in step_class.reads


def test_the_promised_steps_are_there() -> None:
    ports = {
        "dt-watershed": ["boundary"],
        "gasp": ["boundary", "superpixels"],
        "multicut": ["boundary", "superpixels"],
        "mutex-watershed": ["boundary", "superpixels"],
        "lifted-multicut": ["boundary", "superpixels", "nuclei"],
    }
    for step_id, names in ports.items():
        assert set(names) <= set(STEPS.get(step_id).reads), step_id


def test_listing_the_steps_imports_nothing_heavy() -> None:
    heavy = ["torch", "PySide6", "napari", "skimage", "scipy.ndimage", "bioimage_cpp", "tifffile", "h5py"]
    program = f"import sys, plantseg_app.steps; print([name for name in {heavy!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
