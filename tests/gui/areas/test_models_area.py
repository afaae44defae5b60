"""The area of models: what is listed, filtered, told, used, added and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

pytestmark = pytest.mark.gui


@pytest.fixture
def models(bench: Any, qtbot: QtBot) -> Iterator[Any]:
    from plantseg_app.gui.areas.models_area import ModelsArea

    area = ModelsArea(bench)
    qtbot.addWidget(area)
    area.show()
    area.enter()
    yield area
    area.shut_down()


def shown(models: Any) -> list[str]:
    rows = range(models.filter.rowCount())
    return [models.table.rows[models.filter.mapToSource(models.filter.index(row, 0)).row()].id for row in rows]


@pytest.fixture
def arrive(qtbot: QtBot, bench: Any) -> Callable[[Any, str], None]:
    """Wait until all that is on its way is here, the last one under this id."""

    def waited(models: Any, model_id: str) -> None:
        qtbot.waitUntil(lambda: not models.jobs.is_busy, timeout=30_000)
        assert bench.warned == []
        assert f"The model {model_id} is among your models." in bench.told

    return waited


def is_half_here(models: Any) -> bool:
    # News come every tenth of a second, so the last piece before a gate may not have been told.
    return "weights.safetensors" in models.jobs.label.text() and models.jobs.bar.value() >= 300


def choose(box: Any, word: str) -> None:
    index = box.findData(word)
    assert index > 0, word
    box.setCurrentIndex(index)


def test_the_models_here_and_to_download_are_listed_and_filtered(models: Any) -> None:
    from plantseg_app.zoo.catalogue import list_models
    from plantseg_app.zoo.offers import read_offers

    everything = {model.card.id for model in list_models()}
    assert set(shown(models)) == everything | {offer.id for offer in read_offers().offers}
    # What is here comes first.
    assert set(shown(models)[: len(everything)]) == everything
    choose(models.filters.origin_box, "program")
    assert set(shown(models)) == everything
    choose(models.filters.dimension_box, "2D")
    flat = {model.card.id for model in list_models() if model.card.dimensionality == "2D"}
    assert set(shown(models)) == flat != everything
    choose(models.filters.structure_box, "nuclei")
    nuclei = {model.card.id for model in list_models() if model.card.segments == "nuclei"}
    assert set(shown(models)) == flat & nuclei
    assert "nuclei-2d" in shown(models)
    assert "membranes-2d" not in shown(models)
    models.filters.clear()
    models.filters.search_line.setText("OVULE walls")
    assert "membranes-3d" in shown(models)
    assert "nuclei-2d" not in shown(models)
    models.filters.clear()
    choose(models.filters.origin_box, "to download")
    choose(models.filters.modality_box, "light-sheet")
    choose(models.filters.structure_box, "nuclei")
    assert shown(models) == ["lightsheet_3d_unet_root_nuclei_ds1x", "lightsheet_2d_unet_root_nuclei_ds1x"]
    assert models.choose("lightsheet_2d_unet_root_nuclei_ds1x")
    assert models.download_button.isVisible()
    assert not models.use_button.isVisible()
    models.filters.search_line.setText("no such thing")
    assert shown(models) == []
    assert models.empty_label.isVisible()
    assert not models.use_button.isEnabled()
    assert not models.download_button.isVisible()


def test_looking_at_models_touches_no_network(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: asked.append(address))
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    models.enter()
    for model_id in shown(models):
        assert models.choose(model_id)
    assert asked == []
    assert models.jobs._runner is None


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
    models: Any,
    home: Path,
    tmp_path: Path,
    tiny_model: Callable[..., Path],
    arrive: Callable[..., None],
    qtbot: QtBot,
) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QMessageBox

    models.filters.search_line.setText("nuclei")
    models.take_paths([tiny_model(tmp_path / "new", "tiny")])
    arrive(models, "tiny")
    assert models.chosen.id == "tiny"
    assert (home / "models" / "tiny" / "card.yaml").is_file()
    assert "For tests &lt;of markup&gt;." in models.details.head.text()
    assert not models.details.picture.isVisible()
    choose(models.filters.modality_box, "spinning disk")
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
    models: Any, bench: Any, tmp_path: Path, tiny_model: Callable[..., Path], qtbot: QtBot
) -> None:
    models.add(tmp_path)
    damaged = tiny_model(tmp_path / "damaged")
    (damaged / "weights.safetensors").write_bytes(b"x")
    models.add(damaged)
    qtbot.waitUntil(lambda: len(bench.warned) == 2, timeout=30_000)
    assert "card.yaml" in bench.warned[0]
    assert "1 bytes" in bench.warned[1]
    assert not any(entry.is_own for entry in models.table.rows)


def test_an_id_that_is_taken_gets_a_number(
    models: Any, bench: Any, tmp_path: Path, tiny_model: Callable[..., Path], arrive: Callable[..., None]
) -> None:
    folder = tiny_model(tmp_path / "taken", "membranes-3d")
    models.add(folder)
    arrive(models, "membranes-3d-2")
    assert models.chosen.id == "membranes-3d-2"
    # The same weights once more are no further model.
    models.add(folder)
    arrive(models, "membranes-3d-2")
    assert [entry.id for entry in models.table.rows if entry.is_own] == ["membranes-3d-2"]
    assert bench.warned == []


def test_the_open_image_says_which_model_comes_first(models: Any, bench: Any) -> None:
    import numpy as np

    from plantseg_app.core.volume import Kind, Volume, VoxelSize
    from plantseg_app.gui.document import OpenImage

    # Nothing is open: how models fit is not to be seen.
    assert models.list.isColumnHidden(3)
    assert not models.details.hint.isVisible()
    raw = Volume(np.zeros((8, 64, 64), np.uint8), Kind.RAW, VoxelSize(0.235, 0.075, 0.075))
    bench.document.add_image(OpenImage("stack", "membranes", raw))
    models.refresh()
    models.choose(shown(models)[0])
    assert shown(models)[0] == "confocal_3d_unet_ovules_ds1x"
    assert not models.list.isColumnHidden(3)
    assert "The image has the voxel size that confocal_3d_unet_ovules_ds1x was trained at" in models.details.hint.text()

    def fit_of(model_id: str) -> str:
        assert models.choose(model_id)
        return models.list.currentIndex().siblingAtColumn(3).data()

    assert fit_of("confocal_3d_unet_ovules_ds1x") == "fits"
    assert fit_of("confocal_3d_unet_ovules_ds2x") == "scale 0.5"
    assert "scaled by 1 x 0.5 x 0.5" in models.details.hint.text()
    assert fit_of("confocal_2d_unet_ovules_ds2x") == "slice by slice"
    assert fit_of("nuclei-3d") == "other stain"
    assert fit_of("membranes-3d") == "try it"


def test_a_voxel_size_says_which_model_comes_first_without_an_image(models: Any) -> None:
    line = models.filters.voxel_size_line
    for text, nearest in (
        ("0.25 × 0.1625 × 0.1625", "lightsheet_3d_unet_root_ds1x"),
        ("0,235 0,075 0,075", "confocal_3d_unet_ovules_ds1x"),
    ):
        line.setText(text)
        assert shown(models)[0] == models.chosen.id == nearest
        assert not models.list.isColumnHidden(3)
    line.setText("fine")
    assert line.property("state") == "wrong"
    assert "three lengths" in line.toolTip()
    assert models.list.isColumnHidden(3)
    models.filters.clear()
    assert line.property("state") == ""
    # A model that a workflow needs is shown, whatever was looked for.
    models.filters.search_line.setText("nuclei")
    models.show_model("generic_confocal_3D_unet")
    assert models.chosen.id == "confocal_3d_unet_ovules_ds2x"


@pytest.fixture
def offered(home: Path, tmp_path: Path, file_server: Any, tiny_model: Callable[..., Path]) -> Callable[..., Any]:
    """Offer models with these ids on a server of one's own, and return how their weights are served."""

    def listed(*ids: str, **behaviour: Any) -> list[Any]:
        import yaml

        entries = []
        for number, model_id in enumerate(ids):
            folder = tiny_model(tmp_path / f"served-{model_id}", model_id)
            files = []
            for name in ("card.yaml", "weights.safetensors"):
                # Each model gets weights of its own.
                content = (folder / name).read_bytes()
                url = file_server.put(f"/{number}/{name}", content, **(behaviour if name != "card.yaml" else {}))
                files.append({"file": name, "urls": [url]})
            facts = {"id": model_id, "title": f"Petals {number}", "description": "For tests.", "collection": "our lab"}
            channels = {"inputs": [{"name": "membrane"}], "outputs": [{"name": "boundary", "kind": "boundary"}]}
            more = {"dimensionality": "3D", "licence": "MIT", "authors": ["Nobody"], "files": files}
            entries.append({**facts, **channels, **more})
        home.mkdir(exist_ok=True)
        (home / "catalogue.yaml").write_text(yaml.safe_dump({"catalogue": 1, "models": entries}), encoding="utf-8")
        return [file_server.files[f"/{number}/weights.safetensors"] for number in range(len(ids))]

    return listed


def test_a_model_is_downloaded_while_the_window_goes_on(
    models: Any, bench: Any, home: Path, offered: Callable[..., Any], arrive: Callable[..., None], qtbot: QtBot
) -> None:
    import threading

    from PySide6.QtCore import Qt

    gate = threading.Event()
    offered("petals", gate=gate, pause_s=0.06)
    models.refresh()
    assert models.choose("petals")
    assert models.chosen.origin == "to download"
    assert "no checksums are published" in models.details.body.text().replace("\u200b", "")
    assert not models.remove_button.isEnabled()
    qtbot.mouseClick(models.download_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: is_half_here(models), timeout=30_000)
    assert models.jobs.isVisible()
    assert "Downloading petals: weights.safetensors" in models.jobs.label.text()
    assert models.is_busy
    assert "Downloading petals" in models.busy_text
    # The window's own process is free for other work meanwhile, and the same model is not asked for twice.
    assert not bench.runner.is_busy
    assert not models.download_button.isEnabled()
    gate.set()
    arrive(models, "petals")
    assert models.chosen.id == "petals"
    assert models.chosen.origin == "your own"
    assert models.use_button.isVisible()
    assert not models.jobs.isVisible()
    assert (home / "models" / "petals" / "card.yaml").is_file()
    assert "these were held on to" in models.details.body.text()


def test_a_download_is_cancelled_and_goes_on_from_there(
    models: Any, bench: Any, home: Path, offered: Callable[..., Any], file_server: Any, qtbot: QtBot
) -> None:
    import threading

    from PySide6.QtCore import Qt

    gate = threading.Event()
    (served,) = offered("petals", gate=gate, pause_s=0.06)
    models.refresh()
    models.download("petals")
    qtbot.waitUntil(lambda: is_half_here(models), timeout=30_000)
    qtbot.mouseClick(models.jobs.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not models.is_busy, timeout=10_000)
    gate.set()
    assert bench.warned == []
    assert list((home / "models").glob("*")) == []
    assert models.choose("petals")
    assert models.download_button.isEnabled()
    served.gate, served.pause_s = None, 0.0
    before = len(file_server.asked("/0/weights.safetensors"))
    models.download("petals")
    qtbot.waitUntil(lambda: not models.is_busy, timeout=30_000)
    (last,) = file_server.asked("/0/weights.safetensors")[before:]
    assert last.status == 206
    assert 0 < last.sent < len(served.content)
    assert (home / "models" / "petals" / "card.yaml").is_file()


def test_downloads_wait_for_their_turn_and_one_that_fails_stops_no_other(
    models: Any, bench: Any, home: Path, offered: Callable[..., Any], qtbot: QtBot
) -> None:
    import threading

    gate = threading.Event()
    first, second, _ = offered("one", "two", "three")
    first.gate, first.pause_s, second.statuses = gate, 0.06, [404]
    models.refresh()
    for model_id in ("one", "two", "three"):
        models.download(model_id)
    qtbot.waitUntil(lambda: is_half_here(models), timeout=30_000)
    assert "2 more waiting" in models.jobs.bar.format()
    gate.set()
    qtbot.waitUntil(lambda: not models.is_busy, timeout=60_000)
    assert [entry.id for entry in models.table.rows if entry.is_own] == ["one", "three"]
    (sentence,) = bench.warned
    assert "status 404" in sentence
    assert sorted(path.name for path in (home / "models").iterdir()) == ["one", "three"]


def test_closing_ends_a_download_and_leaves_no_half_model(
    models: Any, home: Path, offered: Callable[..., Any], qtbot: QtBot
) -> None:
    import threading

    gate = threading.Event()
    offered("petals", gate=gate, pause_s=0.06)
    models.refresh()
    models.download("petals")
    qtbot.waitUntil(lambda: is_half_here(models), timeout=30_000)
    models.shut_down()
    gate.set()
    assert not models.is_busy
    assert list((home / "models").glob("*")) == []
