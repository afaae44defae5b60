"""Cards of models: read, written, and refused with a reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from plantseg_app.core.volume import Kind, VoxelSize
from plantseg_app.errors import InputError, RequestError
from plantseg_app.zoo.card import ModelCard

EXAMPLE = """
card: 1
id: example-3d
title: Cell membranes, 3D
description: Finds membranes in confocal stacks.
family: {kind: boundary, dimensions: 3D, feature_maps: [8, 16], layer_order: bcr}
dimensionality: 3D
modality: confocal
inputs:
  - {name: membrane, description: FM4-64 or SR2200}
outputs: [{name: boundary, kind: boundary}]
voxel_size_um: [0.235, 0.15, 0.15]
object_diameter_um: 6.0
normalisation: {method: percentile, low: 1.0, high: 99.6}
weights:
  file: weights.safetensors
  sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  size_bytes: 123456
licence: MIT
authors: [A. Nonymous]
citation: none yet
data:
  - {name: simulated ovules, seen_as: train, licence: CC-BY-4.0, provenance: made by simulate.py}
  - {name: sample_ovule, seen_as: test, licence: CC-BY-4.0, provenance: "doi:10.17605/OSF.IO/UZQ3W"}
scores:
  - {data: sample_ovule, metric: adapted_rand_error, value: 0.07}
training: 2000 steps of AdamW on two cores.
"""


def changed(**entries):
    plain = yaml.safe_load(EXAMPLE)
    plain.update(entries)
    return yaml.safe_dump(plain)


def test_reads_every_field():
    card = ModelCard.from_yaml(EXAMPLE)
    assert card.voxel_size_um == VoxelSize(0.235, 0.15, 0.15)
    assert isinstance(card.voxel_size_um, VoxelSize)
    assert card.output().kind is Kind.BOUNDARY
    assert card.inputs[0].kind is Kind.RAW
    assert card.scores[0].value == 0.07
    assert card.data[1].seen_as == "test"


def test_written_text_reads_back_equal():
    card = ModelCard.from_yaml(EXAMPLE)
    assert ModelCard.from_yaml(card.to_yaml()) == card


def test_voxel_size_may_be_unknown():
    assert ModelCard.from_yaml(changed(voxel_size_um=None)).voxel_size_um is None


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"titel": "x"}, 'no setting "titel". Did you mean "title"'),
        ({"voxel_size_um": [0, 1, 1]}, "voxel_size_um"),
        ({"voxel_size_um": [1, 1]}, "voxel_size_um"),
        ({"voxel_size_um": "1,1,1"}, "voxel_size_um"),
        ({"normalisation": {"method": "percentile", "low": 99, "high": 1}}, "low must be below high"),
        ({"weights": {"file": "../w.safetensors", "sha256": "0" * 64, "size_bytes": 1}}, "without folders"),
        ({"weights": {"file": "..\\w", "sha256": "0" * 64, "size_bytes": 1}}, "without folders"),
        ({"weights": {"file": "w", "sha256": "XYZ", "size_bytes": 1}}, "sha256"),
        ({"id": "../evil"}, "id"),
        ({"inputs": []}, "inputs"),
        ({"family": {"f_maps": 3}}, '"kind"'),
        ({"card": 2}, "card: 1"),
        ({"outputs": [{"name": "a", "kind": "membrane"}]}, "outputs"),
        ({"outputs": []}, "outputs"),
        ({"doi": "https://doi.org/10.1/x"}, "doi"),
        ({"picture": "../picture.png"}, "without folders"),
        ({"files": [{"file": "card.yaml", "sha256": "0" * 64, "size_bytes": 1}]}, "the card itself"),
        ({"tile_vox": [0, 64, 64]}, "tile_vox"),
        ({"object_diameter_vox": [9, 3]}, "smallest diameter comes first"),
    ],
)
def test_a_wrong_card_is_refused_with_the_place(entries, said):
    with pytest.raises(InputError) as caught:
        ModelCard.from_yaml(changed(**entries), "my card")
    assert said in str(caught.value)
    assert "my card" in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "", "!!python/object/apply:os.system ['true']"])
def test_text_that_is_no_card_is_refused(text):
    with pytest.raises(InputError):
        ModelCard.from_yaml(text)


def test_a_missing_card_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        ModelCard.read(tmp_path)


def test_reading_cards_does_not_load_torch():
    code = "import sys, plantseg_app.zoo.card; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_outputs_by_name():
    card = ModelCard.from_yaml(EXAMPLE)
    assert card.output("boundary") is card.output()
    with pytest.raises(RequestError, match="boundary"):
        card.output("bondary")


def test_the_family_must_fit_the_card():
    assert ModelCard.from_yaml(EXAMPLE).network_family().in_channels == 1
    two = [{"name": "a"}, {"name": "b"}]
    with pytest.raises(InputError, match="2 input channels"):
        ModelCard.from_yaml(changed(inputs=two)).network_family()
    with pytest.raises(InputError, match="predicts boundary"):
        ModelCard.from_yaml(changed(outputs=[{"name": "nuclei", "kind": "foreground"}])).network_family()
    with pytest.raises(RequestError, match="boundary"):
        ModelCard.from_yaml(changed(family={"kind": "bondary"})).network_family()


def test_a_card_that_stands_for_more_than_it_says_is_refused_at_once():
    lines = ["card: 1", "x0: &x0 [a, a, a, a, a, a, a, a, a]"]
    lines += [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]" for i in range(1, 40)]
    with pytest.raises(InputError, match="more entries"):
        ModelCard.from_yaml("\n".join(lines))


def test_the_schema_in_the_docs_is_the_one_of_the_code():
    script = Path(__file__).parents[2] / "docs" / "make_card_schema.py"
    written = json.loads((script.with_name("card.schema.json")).read_text(encoding="utf-8"))
    assert written == ModelCard.json_schema(), "run python docs/make_card_schema.py"


def test_the_schema_takes_and_refuses_what_the_card_does():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(ModelCard.json_schema())
    validator.check_schema(validator.schema)
    assert validator.is_valid(yaml.safe_load(EXAMPLE))
    assert validator.is_valid(yaml.safe_load(ModelCard.from_yaml(EXAMPLE).to_yaml()))
    for entries in ({"titel": "x"}, {"id": "../evil"}, {"inputs": []}, {"card": 2}, {"voxel_size_um": [1, 1]}):
        assert not validator.is_valid(yaml.safe_load(changed(**entries))), entries


def test_a_card_of_the_first_version_of_the_program_stays_valid():
    card = ModelCard.from_yaml(EXAMPLE)
    assert (card.segments, card.tile_vox, card.picture, card.files, card.fetched) == ("", None, None, (), ())
