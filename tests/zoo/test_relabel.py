"""What outputs show can be said later, and what is not a person's own stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plantseg_app.errors import RequestError
from plantseg_app.networks.graph.family import GraphFamily, GraphLayout, GraphMap, TensorLayout
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.catalogue import find_model
from plantseg_app.zoo.relabel import can_be_relabelled, relabel_outputs


@pytest.fixture
def graph(home: Path, install: Any) -> Path:
    """A model with three outputs that nobody has named."""
    folder = home / "user" / "tiny"
    install(folder)
    image = TensorLayout(name="raw", axes="bcyx")
    answer = TensorLayout(name="maps", axes="bcyx", n_channels=3)
    layout = GraphLayout(runtime="torchscript", dimensions="2D", inputs=[image], outputs=[answer])
    family = GraphFamily(layout=layout, maps=[GraphMap(name=f"channel{i}", kind="raw") for i in range(3)])
    plain = ModelCard.read(folder).model_dump(mode="json")
    outputs = [{"name": f"channel{i}", "kind": "raw", "description": f"Number {i}."} for i in range(3)]
    card = ModelCard.model_validate({**plain, "dimensionality": "2D", "family": family.to_plain(), "outputs": outputs})
    (folder / "card.yaml").write_text(card.to_yaml(), encoding="utf-8")
    return folder


def test_outputs_of_a_graph_get_names_and_kinds(graph: Path) -> None:
    relabel_outputs("tiny", {"channel2": "boundary", "channel1": "sky"})
    card = find_model("tiny").card
    assert [(o.name, o.kind.value, o.description) for o in card.outputs] == [
        ("boundary", "boundary", ""), ("channel0", "raw", "Number 0."), ("sky", "raw", "")
    ]  # fmt: skip
    family = card.network_family()
    assert family.default_workflow == "membranes-gasp"
    assert family.outputs[0].channels == (2,)


def test_outputs_of_a_network_of_this_program_get_names_that_it_has(home: Path, install: Any) -> None:
    install(home / "user" / "tiny")
    relabel_outputs("tiny", {"boundary": "nuclei"})
    card = find_model("tiny").card
    assert [(output.name, output.kind.value) for output in card.outputs] == [("nuclei", "foreground")]
    assert card.family["predicts"] == ["nuclei"]
    with pytest.raises(RequestError, match='cannot be "sky"'):
        relabel_outputs("tiny", {"nuclei": "sky"})


@pytest.mark.parametrize(
    ("words", "text"),
    [({"channel9": "boundary"}, "channel9"), ({"channel0": "channel1"}, "same name")],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(graph: Path, words: dict[str, str], text: str) -> None:
    before = (graph / "card.yaml").read_text(encoding="utf-8")
    with pytest.raises(RequestError, match=text):
        relabel_outputs("tiny", words)
    assert (graph / "card.yaml").read_text(encoding="utf-8") == before


def test_the_models_of_the_program_stay(home: Path, install: Any) -> None:
    install(home / "bundled" / "tiny")
    assert not can_be_relabelled(find_model("tiny"))
    with pytest.raises(RequestError, match="not your own"):
        relabel_outputs("tiny", {"boundary": "nuclei"})
