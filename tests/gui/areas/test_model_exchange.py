"""Models of other programs in the area Models: the collection, packages, source code that is asked about, outputs."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
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


def done(qtbot: QtBot, models: Any) -> None:
    qtbot.waitUntil(lambda: not models.jobs.is_busy, timeout=60_000)


def test_a_model_is_exported_the_package_added_and_checked(
    models: Any, bench: Any, home: Path, tiny_model: Any, qtbot: QtBot
) -> None:
    tiny_model(home / "models" / "tiny", "tiny")
    models.refresh()
    assert models.choose("tiny")
    assert models.exchange.export_button.isEnabled()
    models.exchange.export("tiny", home / "package")
    done(qtbot, models)
    assert bench.warned == []
    package = home / "package.zip"
    assert f"The package {package} is written." in bench.told
    with zipfile.ZipFile(package) as archive:
        assert "bioimageio.yaml" in archive.namelist()
    models.exchange.relabel("tiny", {"boundary": "nuclei"})
    assert models.choose("tiny")
    assert "nuclei" in models.details.body.text()
    models.take_paths([package])
    done(qtbot, models)
    # Its weights are those of a model that is here.
    assert models.chosen.id == "tiny"
    # The process that wrote the package has loaded all that checking takes.
    models.verify_button.click()
    done(qtbot, models)
    assert "all whole, and it loads" in models.details.body.text()
    with (home / "models" / "tiny" / "weights.safetensors").open("ab") as weights:
        weights.write(b"x")
    models.verify_button.click()
    done(qtbot, models)
    assert "damaged: " in models.details.body.text()


SOURCE = """
import torch
class Network(torch.nn.Module):
    def forward(self, x):
        return x * 2
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package that only its source code can build."""
    import numpy as np
    import torch
    import yaml

    folder = tmp_path / "package"
    folder.mkdir()
    image = np.random.default_rng(0).normal(size=(1, 1, 8, 8)).astype(np.float32)
    np.save(folder / "in.npy", image)
    np.save(folder / "out.npy", image * 2)
    (folder / "network.py").write_text(SOURCE, encoding="utf-8")
    torch.save({"unused": torch.zeros(1)}, folder / "state.pt")
    sizes = [{"type": "space", "id": name, "size": 8} for name in "yx"]
    following = [{"type": "space", "id": n, "size": {"tensor_id": "raw", "axis_id": n}} for n in "yx"]
    first = [{"type": "batch"}, {"type": "channel", "channel_names": ["a"]}]
    architecture = {"source": "network.py", "callable": "Network"}
    plain = {
        "format_version": "0.5.4", "type": "model", "name": "Source model", "description": "Doubles.",
        "authors": [{"name": "Somebody"}], "timestamp": "2024-01-01T00:00:00",
        "inputs": [{"id": "raw", "axes": first + sizes, "test_tensor": {"source": "in.npy"}}],
        "outputs": [{"id": "map", "axes": first + following, "test_tensor": {"source": "out.npy"}}],
        "weights": {
            "pytorch_state_dict": {"source": "state.pt", "pytorch_version": "2.5", "architecture": architecture}
        },
    }  # fmt: skip
    (folder / "rdf.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    return folder


def test_source_code_is_shown_and_not_run_unless_a_person_agrees(
    models: Any, bench: Any, home: Path, package: Path, qtbot: QtBot
) -> None:
    from plantseg_app.gui.areas.model_questions import SourceDialog

    models.take_paths([package])
    qtbot.waitUntil(lambda: models.findChild(SourceDialog) is not None, timeout=60_000)
    dialog = models.findChild(SourceDialog)
    assert dialog.code.toPlainText() == SOURCE
    assert "network.py" in dialog.text.text()
    assert dialog.leave_button.isDefault()
    dialog.reject()
    done(qtbot, models)
    assert not list((home / "models").glob("source*"))
    assert bench.warned == []


def test_outputs_are_asked_for_in_words(qtbot: QtBot) -> None:
    from plantseg_app.gui.areas.model_questions import OutputsDialog
    from plantseg_app.zoo.facts import OutputMap

    dialog = OutputsDialog([OutputMap(name="channel0", kind="raw"), OutputMap(name="boundary", kind="boundary")])
    qtbot.addWidget(dialog)
    assert dialog.words() == {}
    box = dialog.boxes["channel0"]
    box.setCurrentIndex(box.findData("nuclei"))
    assert dialog.words() == {"channel0": "nuclei"}


def test_what_is_not_for_a_model_is_not_offered(models: Any) -> None:
    assert models.choose("membranes-2d")
    assert models.exchange.export_button.isEnabled()
    # It is the program's.
    assert not models.exchange.outputs_button.isEnabled()
    assert models.choose("confocal_3d_unet_ovules_ds2x")
    assert not models.exchange.export_button.isEnabled()


def test_the_list_of_the_collection_comes_into_the_table(models: Any, bench: Any, file_server: Any) -> None:
    from plantseg_app.zoo.bioimageio.collection import refresh_collection

    assert "never fetched" in models.exchange.label.text()
    axes = [{"type": "batch"}, {"type": "space", "id": "y", "size": 8}, {"type": "space", "id": "x", "size": 8}]
    manifest = {
        "format_version": "0.5.4", "type": "model", "name": "Nuclei of fish", "description": "Finds nuclei.",
        "authors": [{"name": "Somebody"}], "timestamp": "2024-01-01T00:00:00", "license": "MIT",
        "inputs": [{"id": "raw", "axes": axes}], "outputs": [{"id": "nuclei", "axes": axes}],
        "weights": {"torchscript": {"source": "g.pt", "pytorch_version": "2.5"}},
    }  # fmt: skip
    listed = json.dumps([{"alias": "quick-fish", "manifest": manifest}]).encode()
    url = file_server.put("/bioimage-io/artifacts/bioimage.io/children", listed)

    # In this process, since the child would ask the internet.
    class Ear:
        check = message = progress = staticmethod(lambda *_: None)

    models.jobs.finished.emit(refresh_collection(Ear(), url=url))
    assert "fetched just now" in models.exchange.label.text()
    assert models.choose("quick-fish")
    assert models.download_button.isVisible()
    assert any("1 model for" in text for text in bench.told)
