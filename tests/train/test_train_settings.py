from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from plantseg_app.errors import RequestError
from plantseg_app.train.pytorch3dunet_config import translate
from plantseg_app.train.settings import TrainSettings

START = {"output": "m", "family": {"kind": "boundary"}, "data": {"train": ["a.h5"], "validation": ["b.h5"]}}


def test_yaml_there_and_back(tmp_path: Path) -> None:
    changes = {"patches": {"shape_vox": 32}, "stopping": {"minutes": 5}}
    settings = TrainSettings.from_plain({**START, **changes}).at(tmp_path)
    (tmp_path / "again.yaml").write_text(settings.to_yaml())
    assert TrainSettings.from_yaml(tmp_path / "again.yaml") == settings
    assert settings.data.train[0].path == str(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": {}}, ['it has no setting "optimizer"', 'Did you mean "optimiser"?']),
        ({"data": {"trian": []}}, ['data has no setting "trian"', 'Did you mean "train"?']),
        ({"data": {"train": [{"imgae": "a", "labels": "b"}]}}, ['Did you mean "image"?']),
        ({"data": {"train": [{"image": "a"}]}}, ["give either path, or image and labels"]),
        ({"optimiser": {"rate": -1}}, ["optimiser.rate", "-1 was given"]),
        ({"loss": {"name": "dise"}}, ["loss.name", "dise"]),
        ({"family": None}, ["family"]),
    ],
)
def test_errors_name_the_place_and_a_way_out(changes: dict, words: list[str]) -> None:
    with pytest.raises(RequestError) as caught:
        TrainSettings.from_plain({**START, **changes})
    for word in words:
        assert word in str(caught.value)


def test_every_field_says_what_it_is() -> None:
    def walk(model: type) -> None:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            if hasattr(field.annotation, "model_fields"):
                walk(field.annotation)

    walk(TrainSettings)


REFERENCE_RECIPE = """
manual_seed: 3
model: {name: UNet3D, in_channels: 1, out_channels: 1, layer_order: gcr, f_maps: 32, num_groups: 8, final_sigmoid: true}
loss: {name: BCEDiceLoss, ignore_index: -1}
optimizer: {name: Adam, learning_rate: 0.0002, weight_decay: 0.00001}
eval_metric: {name: BoundaryAdaptedRandError}
lr_scheduler: {name: ReduceLROnPlateau, mode: min, factor: 0.5, patience: 30}
trainer: {checkpoint_dir: out, resume: null, validate_after_iters: 1000, log_after_iters: 500, max_num_epochs: 1000,
          max_num_iterations: 150000, eval_score_higher_is_better: False}
loaders:
  num_workers: 8
  batch_size: 1
  raw_internal_path: raw
  label_internal_path: label
  train:
    file_paths: [one.h5, two.h5]
    slice_builder: {name: FilterSliceBuilder, patch_shape: [80, 170, 170], stride_shape: [20, 40, 40],
                    threshold: 0.6, slack_acceptance: 0.01}
    transformer:
      raw: [{name: Standardize}, {name: RandomFlip}, {name: RandomRotate90}, {name: ElasticDeformation},
            {name: AdditiveGaussianNoise, scale: [0, 0.2]}, {name: ToTensor, expand_dims: true}]
      label: [{name: RandomFlip}, {name: StandardLabelToBoundary}, {name: ToTensor, expand_dims: true}]
  val: {file_paths: [three.h5], slice_builder: {name: FilterSliceBuilder, patch_shape: [80, 170, 170]}}
"""


def test_pytorch3dunet_recipe_is_read(tmp_path: Path) -> None:
    (tmp_path / "train.yml").write_text(REFERENCE_RECIPE)
    settings = TrainSettings.from_yaml(tmp_path / "train.yml")
    assert settings.family == {
        "kind": "boundary", "dimensions": "3D", "residual": False, "image_channels": 1, "layer_order": "gcr",
        "norm_groups": 8, "feature_maps": [32, 64, 128, 256], "predicts": ["boundary"],
    }  # fmt: skip
    assert (settings.optimiser.name, settings.optimiser.rate, settings.optimiser.weight_decay) == ("adam", 2e-4, 1e-5)
    assert (settings.schedule.name, settings.schedule.factor, settings.schedule.patience) == ("plateau", 0.5, 30)
    assert (settings.stopping.steps, settings.validation.every, settings.seed) == (150000, 1000, 3)
    assert settings.patches.shape_vox == (80, 170, 170)
    assert settings.data.ignore_label == -1
    assert settings.data.normalisation.method == "zscore"
    assert [files.image_dataset for files in settings.data.train] == ["raw", "raw"]
    assert settings.augment.flip == 0.5
    assert settings.augment.gamma == 0


def test_pytorch3dunet_entries_without_counterpart_are_all_named() -> None:
    plain = yaml.safe_load(REFERENCE_RECIPE)
    plain["model"]["name"] = "ResidualUNetSE3D"
    plain["loss"]["name"] = "WeightedSmoothL1Loss"
    plain["loaders"]["train"]["transformer"]["label"].append({"name": "LabelToAffinities"})
    with pytest.raises(RequestError, match=r"ResidualUNetSE3D.*WeightedSmoothL1Loss.*LabelToAffinities"):
        translate(plain)
