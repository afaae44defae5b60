"""The steps that cluster embeddings: what they take from a model's card, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError, RequestError


@pytest.fixture
def scene():
    labels = np.zeros((1, 12, 16), np.uint32)
    labels[0, 2:8, 1:7], labels[0, 2:8, 7:14] = 1, 2
    embedding = np.zeros((2, 1, 12, 16), np.float32)
    embedding[0][labels == 1], embedding[1][labels == 2] = 1, 1
    return Volume(embedding, Kind.EMBEDDING), Volume((labels > 0).astype(np.uint8) * 255, Kind.FOREGROUND), labels


def run(step_id, inputs, **settings):
    return make_step(step_id, settings).execute(inputs, QuietContext("cpu", 1))


def test_objects_come_out_of_the_foreground(scene):
    embedding, mask, labels = scene
    found = run("mean-shift", {"embedding": embedding, "foreground": mask}, min_size=1)
    assert found.data.max() == 2
    larger = found.data[0, 4, 10]
    np.testing.assert_array_equal(found.data == larger, labels == 2)
    np.testing.assert_array_equal(found.data == 3 - larger, labels == 1)


def test_without_a_foreground_the_largest_cluster_is_background(scene):
    embedding, _, labels = scene
    found = run("mean-shift", {"embedding": embedding}, min_size=1)
    np.testing.assert_array_equal(found.data > 0, labels > 0)


def test_the_bandwidth_joins(scene):
    embedding, mask, _ = scene
    found = run("mean-shift", {"embedding": embedding, "foreground": mask}, min_size=1, bandwidth=2.0)
    assert found.data.max() == 1


def test_every_setting_has_an_effect(scene):
    embedding, mask, _ = scene
    inputs = {"embedding": embedding, "foreground": mask}
    assert not run("mean-shift", inputs, min_size=1000).data.any()
    assert not run("mean-shift", inputs, foreground_threshold=1.0).data.any()
    assert run("mean-shift", inputs, min_size=37, fill_foreground=False).data.any()
    assert (run("mean-shift", inputs, min_size=37).data > 0).sum() > (
        run("mean-shift", inputs, min_size=37, fill_foreground=False).data > 0
    ).sum()


def test_a_model_without_an_embedding_is_refused(scene):
    embedding, _, _ = scene
    with pytest.raises(RequestError, match="makes no embedding"):
        run("mean-shift", {"embedding": embedding}, model="membranes-3d")
    with pytest.raises(RequestError, match="There is no model"):
        run("mean-shift", {"embedding": embedding}, model="membranes-9d")


def test_signed_masks_beyond_one_are_refused(scene):
    embedding, mask, _ = scene
    with pytest.raises(InputError, match="between 0 and 1"):
        run("mean-shift", {"embedding": embedding, "foreground": mask.replace(data=mask.data.astype(np.float32))})


def test_confidence_is_that_of_the_object(scene):
    embedding, _, labels = scene
    data = embedding.data.copy()
    data[1, labels == 2] += np.resize([0.2, -0.2], (labels == 2).sum()).astype(np.float32)
    inputs = {"embedding": embedding.replace(data=data), "labels": Volume(labels, Kind.LABELS)}
    sure = run("instance-confidence", inputs, bandwidth=1.0)
    assert sure.kind is Kind.FOREGROUND
    assert sure.data[labels == 1].min() == pytest.approx(1.0)
    assert sure.data[labels == 2].max() == pytest.approx(0.8)


@pytest.fixture
def pair():
    """Two objects that touch, 4 apart in an embedding of noise, on background 4 apart from both; and a distance map."""
    labels = np.zeros((1, 24, 40), np.uint32)
    labels[0, 4:20, 4:18], labels[0, 4:20, 18:36] = 1, 2
    rng = np.random.default_rng(0)
    values = 4 * np.eye(3, dtype=np.float32)
    embedding = np.moveaxis(values[labels], -1, 0) + rng.normal(0, 0.05, (3, *labels.shape))
    distance = np.zeros(labels.shape, np.float32)
    y, x = np.indices(labels.shape[1:])
    for middle in (10.5, 26.5):
        distance[0] = np.maximum(distance[0], np.clip(1 - np.hypot(y - 11.5, x - middle) / 9, 0, None))
    inputs = {
        "embedding": Volume(embedding.astype(np.float32), Kind.EMBEDDING),
        "second": Volume(embedding[:, :, ::-1, ::-1][:, :, ::-1, ::-1].astype(np.float32), Kind.EMBEDDING),
        "distance": Volume(distance, Kind.DISTANCE),
        "foreground": Volume((labels > 0).astype(np.float32), Kind.FOREGROUND),
    }
    return inputs, labels


CLUSTERINGS = {
    "mean-shift": (),
    "hdbscan": (),
    "affinity-clustering": (),
    "consistency-clustering": ("second",),
    "angular-clustering": ("distance",),
}


@pytest.mark.parametrize("foreground", [True, False], ids=["masked", "whole"])
@pytest.mark.parametrize("step_id", CLUSTERINGS)
def test_every_clustering_finds_both_objects(pair, step_id, foreground):
    inputs, labels = pair
    ports = ("embedding", *CLUSTERINGS[step_id], *(("foreground",) if foreground else ()))
    found = run(step_id, {port: inputs[port] for port in ports})
    assert found.data.max() == 2
    assert (found.data[labels == 1] == found.data[0, 10, 10]).mean() > 0.9
    assert (found.data[labels == 2] == found.data[0, 10, 26]).mean() > 0.9
    assert (found.data[labels == 0] == 0).mean() > 0.9


def test_tissue_without_gaps_keeps_its_largest_cell(pair):
    inputs, _ = pair
    for step_id in ("mean-shift", "hdbscan", "affinity-clustering"):
        found = run(step_id, {"embedding": inputs["embedding"]}, background="none")
        assert found.data.max() == 3
        assert found.data.min() == 1


def test_embeddings_of_two_sorts_are_refused(pair):
    inputs, _ = pair
    second = inputs["second"].replace(data=inputs["second"].data[:2])
    with pytest.raises(InputError, match="one sort"):
        run("consistency-clustering", {"embedding": inputs["embedding"], "second": second})


def test_alike_objects_are_joined(pair):
    inputs, labels = pair
    pieces = labels.copy()
    pieces[0, :12][pieces[0, :12] == 2] = 7
    pieces[0, 0, 0] = 9
    volumes = {"labels": Volume(pieces, Kind.LABELS), "embedding": inputs["embedding"]}
    touching = run("merge-clusters", volumes).data
    assert sorted(np.unique(touching)) == [0, 1, 2, 9]
    assert sorted(np.unique(run("merge-clusters", volumes, distance=9.0).data)) == [0, 1, 9]
    assert len(np.unique(run("merge-clusters", volumes, distance=9.0, which="all").data)) == 2
    assert run("merge-clusters", volumes, distance=0.001).data.max() == 9


def test_the_image_leads_the_watershed_of_noise(pair):
    inputs, labels = pair
    data = inputs["embedding"].data.copy()
    data[..., 15:21] = np.random.default_rng(1).uniform(20, 60, (3, 1, 24, 6))
    line = np.zeros(labels.shape, np.uint8)
    line[..., 20] = 255
    embedding = {"embedding": inputs["embedding"].replace(data=data), "foreground": inputs["foreground"]}
    found = run("hdbscan", {**embedding, "image": Volume(line, Kind.RAW)}, max_points=0)
    assert (found.data[0, 6:18, 15:19] == found.data[0, 10, 8]).all()
    plain = run("hdbscan", embedding, max_points=0)
    assert (plain.data[0, 6:18, 15:19] != plain.data[0, 10, 8]).any()
    left = run("hdbscan", embedding, max_points=0, fill_noise=False, fill_foreground=False)
    assert (left.data[0, 6:18, 15:21] == 0).all()
