from __future__ import annotations

import csv
import math
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from plantseg_app.core.context import QuietContext
from plantseg_app.errors import Cancelled, InputError, RequestError
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.networks.weights import read_weights
from plantseg_app.train.checkpoint import load_checkpoint
from plantseg_app.train.data import Stack
from plantseg_app.train.events import TrainEvents, ValidationDone
from plantseg_app.train.export import TrainResult
from plantseg_app.train.loop import train
from plantseg_app.train.patches import Batch
from plantseg_app.train.schedule import Schedule
from plantseg_app.train.settings import ScheduleSettings, TrainSettings
from plantseg_app.train.tasks import Surroundings
from plantseg_app.train.tasks.supervised import SupervisedTask
from plantseg_app.zoo.card import ModelCard, Normalisation

Data = tuple[list[Stack], list[Stack]]


@pytest.fixture(scope="module")
def data(tissue_stack: Stack) -> Data:
    first = tissue_stack.crop((slice(None), slice(None), slice(0, 40)))
    return [first], [tissue_stack.crop((slice(None), slice(None), slice(40, None)))]


def plan(output: Path, **changes: object) -> TrainSettings:
    plain = {
        "output": str(output),
        "family": {"kind": "boundary", "feature_maps": [4, 8], "layer_order": "bcrd"},
        "patches": {"shape_vox": [8, 16, 16], "batch": 2, "prefetch": 2},
        "stopping": {"steps": 6},
        "validation": {"every": 2},
        "optimiser": {"rate": 0.01},
        "schedule": {"warmup_steps": 2},
        "precision": "float32",
        "device": "cpu",
    }
    return TrainSettings.from_plain({**plain, **changes})


class CancelAfter(QuietContext):
    """Cancels when a number of checks were made."""

    def __init__(self, n_checks: float) -> None:
        super().__init__("cpu", 1)
        self.left = n_checks

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled("Stopped on request.")


def run(settings: TrainSettings, data: Data, **options: object) -> TrainResult:
    return train(settings, QuietContext("cpu", 1), data=data, **options)


def weights_of(result: TrainResult) -> dict[str, torch.Tensor]:
    assert result.model is not None
    return read_weights(result.model / "weights.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, data: Data) -> TrainResult:
    return run(plan(tmp_path_factory.mktemp("straight") / "m", checkpoints={"every": 4}), data)


def test_twenty_steps_teach_a_small_network_to_segment(tmp_path: Path, data: Data) -> None:
    heard: list[ValidationDone] = []
    events = TrainEvents()
    events.validation.connect(heard.append)
    settings = plan(
        tmp_path / "m", family={"kind": "boundary", "feature_maps": [8, 16]}, stopping={"steps": 20},
        patches={"shape_vox": [8, 32, 32], "batch": 2}, validation={"every": 10}, optimiser={"rate": 0.02},
    )  # fmt: skip
    result = run(settings, data, events=events)
    assert result.reason == "finished"
    assert result.score_name == "adapted-rand-error"
    assert result.score < 0.25
    assert heard[-1].loss < heard[0].loss
    assert heard[0].example is not None
    assert heard[0].example.prediction.shape == heard[0].example.reference.shape == (48, 24)


def test_the_result_is_a_whole_model_folder(straight: TrainResult) -> None:
    folder = straight.model
    assert folder is not None
    card = ModelCard.read(folder)
    family = card.network_family()
    network = family.build()
    network.load_state_dict(weights_of(straight))
    assert (folder / "weights.safetensors").stat().st_size == card.weights.size_bytes
    assert card.scores[0].metric == "adapted_rand_error"
    assert TrainSettings.from_yaml(folder / "settings.yaml").family == family.to_plain()
    rows = csv.DictReader((folder / "history.csv").read_text().splitlines())
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert (folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (folder / "run").iterdir()} == {"best.pt", "last.pt", "step-0000004.pt"}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tmp_path: Path, data: Data, straight: TrainResult
) -> None:
    again = run(plan(tmp_path / "again", checkpoints={"every": 4}, patches={
        "shape_vox": [8, 16, 16], "batch": 2, "workers": 2, "prefetch": 5}), data)  # fmt: skip
    assert same(weights_of(straight), weights_of(again))
    other = run(plan(tmp_path / "other", seed=1), data)
    assert not same(weights_of(straight), weights_of(other))


@pytest.mark.parametrize("checks", [3, 4, 9])
def test_a_cancelled_and_resumed_training_equals_an_uninterrupted_one(
    tmp_path: Path, data: Data, straight: TrainResult, checks: int
) -> None:
    settings = plan(tmp_path / "m")
    first = train(settings, CancelAfter(checks), data=data)
    assert first.reason == "cancelled"
    assert first.step < 6
    with pytest.raises(RequestError, match="already holds a training"):
        run(settings, data)
    second = run(settings, data, resume=True)
    assert second.step == 6
    last = [load_checkpoint(result.model / "run" / "last.pt") for result in (straight, second)]
    assert same(last[0]["networks"]["network"], last[1]["networks"]["network"])
    assert same(last[0]["model"], last[1]["model"])
    for one, two in zip(last[0]["history"], last[1]["history"], strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {k: v for k, v in two.items() if k != "seconds"}


def test_cancelling_before_the_first_validation_still_leaves_a_model(tmp_path: Path, data: Data) -> None:
    result = train(plan(tmp_path / "m"), CancelAfter(1), data=data)
    assert (result.reason, result.step) == ("cancelled", 1)
    assert result.model is not None
    assert math.isnan(result.score)
    assert ModelCard.read(result.model).scores == ()
    nothing = train(plan(tmp_path / "n"), CancelAfter(0), data=data)
    assert nothing.model is None


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from conftest import make_tissue
from test_loop import plan
from plantseg_app.core.context import QuietContext
from plantseg_app.train.data import Stack
from plantseg_app.train.loop import train
from plantseg_app.train.events import TrainEvents
stack = Stack.from_arrays(*make_tissue((16, 48, 64), 30, 1), name="tissue")
parts = [stack.crop((slice(None), slice(None), part)) for part in (slice(0, 40), slice(40, None))]
train(plan(Path({output!r})), QuietContext("cpu", 1), data=([parts[0]], [parts[1]]))
"""


def test_a_killed_training_goes_on_from_its_last_validation(tmp_path: Path, data: Data, straight: TrainResult) -> None:
    output = tmp_path / "m"
    program = KILLED.format(tests=str(Path(__file__).parent), output=str(output))
    process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 100
        while not (output / "run" / "last.pt").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        process.wait()
    state = load_checkpoint(output / "run" / "last.pt")
    assert state["step"] >= 2
    result = run(plan(output), data, resume=True)
    assert result.step == 6
    final = load_checkpoint(output / "run" / "last.pt")
    assert same(final["model"], load_checkpoint(straight.model / "run" / "last.pt")["model"])


def test_gradients_are_accumulated(tmp_path: Path, data: Data) -> None:
    """Without batch norm, one batch of two and two batches of one on the same patches are the same step."""
    family = {"kind": "boundary", "feature_maps": [4, 8], "layer_order": "cr"}
    common = {"family": family, "stopping": {"steps": 1}, "optimiser": {"name": "sgd", "rate": 0.1, "average": 0},
              "schedule": {"warmup_steps": 0}, "loss": {"name": "bce"}}  # fmt: skip
    one = run(plan(tmp_path / "a", **common, patches={"shape_vox": 8, "batch": 1, "accumulate": 2}), data)

    class SameDraws:
        """Draws patch i of batch 0 where accumulation draws patch 0 of batch i."""

        def __init__(self) -> None:
            self.original = np.random.default_rng

        def __call__(self, seed: object) -> np.random.Generator:
            return self.original([seed[0], seed[2], seed[1]] if isinstance(seed, list) else seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "default_rng", SameDraws())
        two = run(plan(tmp_path / "b", **common, patches={"shape_vox": 8, "batch": 2, "prefetch": 1}), data)
    for name, value in weights_of(one).items():
        torch.testing.assert_close(value, weights_of(two)[name], rtol=1e-4, atol=1e-6)


def test_nan_stops_with_the_reason_and_keeps_the_best(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = SupervisedTask.losses
    calls = []

    def spoiled(self: SupervisedTask, turn: str, batch: Batch) -> dict[str, torch.Tensor]:
        calls.append(1)
        terms = original(self, turn, batch)
        return {**terms, "dice": terms["dice"] * float("nan")} if len(calls) == 4 else terms

    monkeypatch.setattr(SupervisedTask, "losses", spoiled)
    with pytest.raises(InputError, match=r"step 4: the loss \(dice\) became NaN.*of step 2, the best one, is kept"):
        run(plan(tmp_path / "m"), data)
    assert ModelCard.read(tmp_path / "m").training.startswith("PlantSeg App")
    assert load_checkpoint(tmp_path / "m" / "run" / "last.pt")["step"] == 2


def test_the_best_state_is_the_one_with_the_best_score(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plantseg_app.train.tasks import supervised

    scores = iter([0.5, 0.2, 0.4])
    monkeypatch.setattr(supervised, "rand_error", lambda *_: next(scores))
    result = run(plan(tmp_path / "m"), data)
    assert (result.best_step, result.score) == (4, 0.2)
    best = load_checkpoint(tmp_path / "m" / "run" / "best.pt")
    assert best["step"] == 4
    assert same(best["model"], weights_of(result))


def test_training_goes_on_from_a_model(tmp_path: Path, data: Data, straight: TrainResult) -> None:
    settings = plan(tmp_path / "m", family=None, start_from=str(straight.model), stopping={"steps": 1})
    settings = settings.replace(optimiser={"rate": 1e-9, "average": 0})
    result = run(settings, data)
    card = ModelCard.read(result.model)
    assert card.family["feature_maps"] == [4, 8]
    before, after = weights_of(straight), weights_of(result)
    for name, value in after.items():
        if "running" not in name and value.is_floating_point():
            torch.testing.assert_close(value, before[name], rtol=0, atol=1e-6)
    with pytest.raises(RequestError, match="no model"):
        run(settings.replace(output=str(tmp_path / "n"), start_from="membranez"), data)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patches": {"shape_vox": [8, 17, 16]}}, "multiples of"),
        ({"family": {"kind": "boundary", "dimensions": "2D", "feature_maps": [4, 8]}}, "single slices"),
        ({"family": {"kind": "boundary", "image_channels": 2, "feature_maps": [4, 8]}}, "2 image channels"),
        ({"family": {"kind": "boundray"}}, "boundary"),
        ({"loss": {"name": "cross-entropy"}}, "two or more channels"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(tmp_path: Path, data: Data, changes: dict, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        run(plan(tmp_path / "m", **changes), data)


def test_an_empty_validation_set_is_refused(tmp_path: Path, data: Data) -> None:
    with pytest.raises(RequestError, match="nothing to validate on"):
        run(plan(tmp_path / "m"), (data[0], []))
    with pytest.raises(RequestError, match="nothing to validate on"):
        train(plan(tmp_path / "m", data={"train": ["a.h5"]}))


def test_validation_is_in_evaluation_mode_and_never_augmented(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stacks that are judged are the pieces themselves, and judging changes nothing in the trained network."""
    seen = []
    original = SupervisedTask.judge

    def spy(self: SupervisedTask, network: torch.nn.Module, stack: Stack, context: object) -> object:
        before = {name: value.clone() for name, value in self.networks["network"].state_dict().items()}
        result = original(self, network, stack, context)
        assert not network.training
        assert same(before, dict(self.networks["network"].state_dict()))
        seen.append(stack)
        return result

    monkeypatch.setattr(SupervisedTask, "judge", spy)
    run(plan(tmp_path / "m"), data)
    assert len(seen) == 3
    for stack in seen:
        np.testing.assert_array_equal(stack.image, data[1][0].image)
        np.testing.assert_array_equal(stack.labels, data[1][0].labels)


def test_a_perfect_network_is_judged_without_loss_and_without_error(tmp_path: Path, tissue: tuple) -> None:
    """The activation is applied once, by the prediction; a second one would cost a perfect network 0.18."""
    settings = plan(tmp_path / "m")
    task = SupervisedTask(
        BoundaryFamily(feature_maps=(4, 8)), settings, Surroundings.on(torch.device("cpu"), "float32")
    )
    target = task.make_target(tissue[1], None)
    stack = Stack.from_arrays(target, tissue[1], normalisation=Normalisation(method="none"))
    network = task.networks["network"].eval()
    network.forward = lambda image: 60 * (image - 0.5)
    judgement = task.judge(network, stack, QuietContext("cpu", 1))
    assert judgement.loss < 1e-4
    # Cells of a few voxels lose some to their walls in the quick segmentation.
    assert judgement.score < 0.1
    network.forward = lambda image: 60 * (0.5 - image)
    assert task.judge(network, stack, QuietContext("cpu", 1)).loss > 5


def test_two_dimensional_nuclei_are_judged_by_average_precision(tmp_path: Path, data: Data) -> None:
    family = {"kind": "boundary", "dimensions": "2D", "feature_maps": [4, 8], "predicts": ["nuclei", "boundary"]}
    changes = {"family": family, "patches": {"shape_vox": [1, 32, 32]}, "stopping": {"steps": 2}}
    result = run(plan(tmp_path / "m", **changes), data)
    assert result.score_name == "average-precision"
    assert 0 <= result.score <= 1
    card = ModelCard.read(result.model)
    assert [output.name for output in card.outputs] == ["nuclei", "boundary"]
    assert card.dimensionality == "2D"


def test_early_stopping_and_small_rates_end_a_training(tmp_path: Path, data: Data) -> None:
    stop = {"steps": 50, "patience": 1}
    result = run(plan(tmp_path / "a", stopping=stop, optimiser={"rate": 1e-12}, validation={"every": 1}), data)
    assert "no improvement" in result.reason
    small = run(plan(tmp_path / "b", stopping={"steps": 50, "smallest_rate": 0.009}), data)
    assert "learning rate" in small.reason
    assert small.step < 50


def test_a_training_limited_in_time_is_judged_in_time(tmp_path: Path, data: Data) -> None:
    settings = plan(tmp_path / "m", stopping={"steps": 10**6, "minutes": 0.05}, validation={"every": 10**6})
    result = run(settings, data)
    assert result.reason == "finished"
    assert len(load_checkpoint(result.model / "run" / "last.pt")["history"]) >= 2


def test_schedules() -> None:
    plateau = Schedule(ScheduleSettings(name="plateau", patience=2, factor=0.5, warmup_steps=0))
    for is_best in (True, False, False, False):
        plateau.note_validation(is_best)
    assert plateau.factor(10, 0.5) == 0.5
    again = Schedule(plateau.settings)
    again.restore(plateau.state())
    again.note_validation(False)
    assert again.factor(0, 0) == 0.25
    exponential = Schedule(ScheduleSettings(name="exponential", warmup_steps=0, final_fraction=0.01))
    assert exponential.factor(0, 0.5) == pytest.approx(0.1)
    assert Schedule(ScheduleSettings(name="constant", warmup_steps=4)).factor(1, 0.9) == 0.5


def test_a_listener_that_fails_does_not_break_the_training(tmp_path: Path, data: Data) -> None:
    events = TrainEvents()

    def fail(_event: object) -> None:
        raise ValueError("no")

    events.step.connect(fail)
    assert run(plan(tmp_path / "m", stopping={"steps": 2}), data, events=events).step == 2


def test_tensorboard_is_asked_for_by_name_when_absent(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RequestError, match=r"pip install .plantseg-app\[tensorboard\]"):
        run(plan(tmp_path / "m", tensorboard=True), data)


def test_tensorboard_hears_scalars_and_pictures_when_asked(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int, object]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "m" / "run" / "tensorboard")

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, step, value))

        def add_image(self, name: str, image: np.ndarray, step: int, dataformats: str) -> None:
            assert dataformats == "HW"
            told.append((name, step, image))

        def close(self) -> None:
            told.append(("closed", 0, None))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    events = TrainEvents()
    settings = plan(tmp_path / "m", tensorboard=True, stopping={"steps": 10}, validation={"every": 5})
    run(settings, data, events=events)
    steps = {name: [step for other, step, _ in told if other == name] for name, _, _ in told}
    assert steps["train/bce"] == steps["train/dice"] == steps["train/learning_rate"] == [10]
    assert steps["validation/loss"] == steps["validation/adapted-rand-error"] == [5, 10]
    assert steps["validation/image"] == steps["validation/prediction"] == [5, 10]
    pictures = [value for name, _, value in told if name == "validation/prediction"]
    assert pictures[0].shape == (48, 24)
    assert pictures[0].dtype == np.uint8
    assert not np.array_equal(*pictures)
    assert told[-1][0] == "closed"
    # Nothing listens any more.
    assert len(events.step) == len(events.validation) == 0
