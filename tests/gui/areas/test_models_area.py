"""The area of models: what is listed, filtered, told, used, added and removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

pytestmark = pytest.mark.gui


@pytest.fixture
def models(bench: Any, qtbot: QtBot) -> Any:
    from plantseg_app.gui.areas.models_area import ModelsArea

    area = ModelsArea(bench)
    qtbot.addWidget(area)
    area.show()
    area.enter()
    return area


def shown(models: Any) -> list[str]:
    rows = range(models.filter.rowCount())
    return [models.table.rows[models.filter.mapToSource(models.filter.index(row, 0)).row()].id for row in rows]


def test_the_shipped_models_are_listed_and_filtered(models: Any) -> None:
    from plantseg_app.core.volume import Kind
    from plantseg_app.zoo.catalogue import list_models

    everything = {model.card.id for model in list_models()}
    assert set(shown(models)) == everything
    models.dimension_box.setCurrentIndex(models.dimension_box.findData("2D"))
    flat = {model.card.id for model in list_models() if model.card.dimensionality == "2D"}
    assert set(shown(models)) == flat != everything
    models.finds_box.setCurrentIndex(models.finds_box.findData("mask"))
    masks = {m.card.id for m in list_models() if any(o.kind is Kind.FOREGROUND for o in m.card.outputs)}
    assert set(shown(models)) == flat & masks
    assert "nuclei-2d" in shown(models)
    assert "membranes-2d" not in shown(models)
    models.dimension_box.setCurrentIndex(0)
    models.finds_box.setCurrentIndex(0)
    models.search_line.setText("OVULE walls")
    assert "membranes-3d" in shown(models)
    assert "nuclei-2d" not in shown(models)
    models.search_line.setText("no such thing")
    assert shown(models) == []
    assert models.empty_label.isVisible()
    assert not models.use_button.isEnabled()


def test_the_details_are_those_of_the_card(models: Any) -> None:
    from plantseg_app.zoo.catalogue import find_model

    assert models.choose("nuclei-2d")
    card = find_model("nuclei-2d").card
    text = (models.details.head.text() + models.details.body.text()).replace("\u200b", "")
    facts = (card.title, card.licence, card.scores[0].data, f"{card.scores[0].value:g}", card.data[0].licence, card.id)
    for fact in (*facts, "checked: they are those that the card describes"):
        assert fact in text
    assert models.details.picture.isVisible()
    assert not models.remove_button.isEnabled()


def test_use_puts_the_model_where_it_fits(models: Any, bench: Any) -> None:
    document = bench.document
    before = document.workflow
    assert "boundary" in before.nodes
    models.use("membranes-2d")
    assert document.workflow.nodes["boundary"].step.model == "membranes-2d"
    assert document.workflow.name == before.name
    assert bench.opened == ["Predict"]
    # Nuclei are no boundaries, so the family's own workflow comes up.
    models.use("nuclei-3d")
    workflow = document.workflow
    assert {node.step.model for node in workflow.nodes.values() if node.step.id == "predict"} == {"nuclei-3d"}
    assert workflow.name != before.name


def test_a_folder_is_added_and_removed(
    models: Any, home: Path, tmp_path: Path, tiny_model: Callable[..., Path], qtbot: QtBot
) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QMessageBox

    models.search_line.setText("nuclei")
    models.take_paths([tiny_model(tmp_path / "new", "tiny")])
    assert models.chosen.id == "tiny"
    assert (home / "models" / "tiny" / "card.yaml").is_file()
    assert "For tests &lt;of markup&gt;." in models.details.head.text()
    assert not models.details.picture.isVisible()
    models.modality_box.setCurrentIndex(models.modality_box.findData("spinning disk"))
    assert shown(models) == ["tiny"]

    qtbot.mouseClick(models.remove_button, Qt.MouseButton.LeftButton)
    box = models.findChild(QMessageBox)
    assert str(home / "models" / "tiny") in box.text()
    assert box.defaultButton() is box.button(QMessageBox.StandardButton.Cancel)
    qtbot.mouseClick(next(b for b in box.buttons() if "Delete" in b.text()), Qt.MouseButton.LeftButton)
    assert not (home / "models" / "tiny").exists()
    assert "tiny" not in shown(models)
    # The filter that fitted nothing else any more went with it.
    assert "membranes-3d" in shown(models)


def test_what_is_broken_is_shown_with_its_reason(models: Any, home: Path, tiny_model: Callable[..., Path]) -> None:
    folder = tiny_model(home / "models" / "bad", "bad")
    (folder / "card.yaml").write_text("card: 1\nid: bad\n", encoding="utf-8")
    whole = tiny_model(home / "models" / "bitrot", "bitrot")
    weights = bytearray((whole / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (whole / "weights.safetensors").write_bytes(weights)
    models.refresh()
    assert models.choose("bad")
    assert "title" in models.details.body.text()
    assert not models.use_button.isEnabled()
    assert models.remove_button.isEnabled()
    assert models.choose("bitrot")
    assert "checksum differs" in models.details.body.text()
    models.remove("bad")
    assert not folder.exists()


def test_rubbish_is_refused_in_a_sentence(
    models: Any, bench: Any, tmp_path: Path, tiny_model: Callable[..., Path]
) -> None:
    models.add(tmp_path)
    assert "card.yaml" in bench.warned[0]
    damaged = tiny_model(tmp_path / "damaged")
    (damaged / "weights.safetensors").write_bytes(b"x")
    models.add(damaged)
    assert "1 bytes" in bench.warned[1]
    assert not any(entry.is_own for entry in models.table.rows)


def test_an_id_that_is_taken_gets_a_number(
    models: Any, bench: Any, tmp_path: Path, tiny_model: Callable[..., Path]
) -> None:
    folder = tiny_model(tmp_path / "taken", "membranes-3d")
    models.add(folder)
    assert models.chosen.id == "membranes-3d-2"
    # The same weights once more are no further model.
    models.add(folder)
    assert [entry.id for entry in models.table.rows if entry.is_own] == ["membranes-3d-2"]
    assert bench.warned == []
