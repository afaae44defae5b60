"""PlantSeg's own entries, from the catalogue to a map: the files come from a server of the test instead of Zenodo."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from plantseg_app import paths
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.errors import InputError
from plantseg_app.networks.unet import UNet2D, UNet3D
from plantseg_app.steps.predict.predict import Predict
from plantseg_app.zoo.download import download_model
from plantseg_app.zoo.offers import Offer, find_offer
from plantseg_app.zoo.requesting import RequestSettings

QUICK = RequestSettings(connect_timeout_s=2, read_timeout_s=1, tries=2, first_pause_s=0.01, longest_pause_s=0.02)


class Silent:
    def check(self) -> None: ...
    def progress(self, label: str, done: int, total: int | None) -> None: ...
    def message(self, text: str) -> None: ...


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "home"))


def served(file_server: Any, name: str, checkpoint: bytes, model: dict[str, Any]) -> Offer:
    """The offer of the catalogue, with its files on the server of the test."""
    offer = find_offer(name)
    contents = {"best_checkpoint.pytorch": checkpoint, "config_train.yml": yaml.safe_dump({"model": model}).encode()}
    files = tuple(
        file.model_copy(update={"urls": (file_server.put(f"/{file.file}", contents[file.file]),)})
        for file in offer.files
    )
    return offer.model_copy(update={"files": files})


def stored(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "flat", "channels", "outputs"),
    [
        ("generic_confocal_3D_unet", False, 1, ["boundary"]),
        ("confocal_2D_unet_ovules_ds2x", True, 1, ["boundary"]),
        ("lightsheet_3D_unet_root_nuclei_ds1x", False, 2, ["nuclei", "boundary"]),
    ],
)
def test_a_model_of_plantseg_is_downloaded_and_predicts(
    file_server: Any, name: str, flat: bool, channels: int, outputs: list[str]
) -> None:
    torch.manual_seed(0)
    network = (UNet2D if flat else UNet3D)(1, channels, f_maps=(4, 8), layer_order="gcr", num_groups=2).eval()
    plain = {"name": "UNet2D" if flat else "UNet3D", "in_channels": 1, "out_channels": channels, "f_maps": [4, 8]}
    model = {**plain, "layer_order": "gcr", "num_groups": 2, "final_sigmoid": True}
    offer = served(file_server, name, stored({"model_state_dict": network.state_dict()}), model)
    card = download_model(offer, Silent(), settings=QUICK).card
    assert (card.id, card.title, card.doi) == (offer.id, offer.title, offer.doi)
    assert (card.voxel_size_um, card.tile_vox, card.segments) == (offer.voxel_size_um, offer.tile_vox, offer.segments)
    assert [output.name for output in card.outputs] == outputs
    assert card.weights.file.endswith(".safetensors")
    assert {file.checksum for file in card.fetched} == {"first download"}

    grey = np.random.default_rng(0).integers(0, 255, (4, 16, 16)).astype(np.uint8)
    image = Volume(grey, Kind.RAW, VoxelSize(*(offer.voxel_size_um or ())))
    made = np.asarray(
        Predict(model=card.id, output=outputs[-1], precision="float32").run({"image": image}, QuietContext("cpu")).data
    )
    with torch.inference_mode():
        prepared = torch.from_numpy(((grey - grey.mean()) / grey.std()).astype(np.float32))
        logits = network(prepared[:, None])[:, -1] if flat else network(prepared[None, None])[0, -1]
    np.testing.assert_allclose(made, torch.sigmoid(logits).numpy(), atol=1e-5)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch " + os.environ["EVIL_TRACE"],)


@pytest.mark.parametrize("wrap", [pickle.dumps, stored, lambda content: stored({"model_state_dict": {}, "x": content})])
def test_what_a_download_brings_is_never_run(
    file_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrap: Any
) -> None:
    monkeypatch.setenv("EVIL_TRACE", str(tmp_path / "trace"))
    offer = served(file_server, "generic_confocal_3D_unet", wrap(Evil()), {"name": "UNet3D"})
    with pytest.raises(InputError, match="What was downloaded for confocal_3d_unet_ovules_ds2x cannot be used"):
        download_model(offer, Silent(), settings=QUICK)
    assert not (tmp_path / "trace").exists()
    assert list(paths.user_models_dir().glob("*")) == []
    # The checksum of rubbish is not held on to.
    assert not paths.checksums_dir().exists()
