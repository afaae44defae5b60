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
