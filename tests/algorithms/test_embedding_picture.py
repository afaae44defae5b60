"""Colours of embeddings, computed where they are looked at, and likeness to one place."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.algorithms.embedding_picture import ColouredEmbedding, fit_colours, likeness


@pytest.fixture
def embedding():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, (3, 10, 12))
    vectors = 4 * rng.normal(size=(5, 8))
    return (np.moveaxis(vectors[labels], -1, 0) + rng.normal(0, 0.05, (8, 3, 10, 12))).astype(np.float32), labels


def test_colours_are_the_principal_components(embedding):
    values, _ = embedding
    colours = fit_colours(values)
    points = values.reshape(8, -1).T.astype(np.float64)
    variances, directions = np.linalg.eigh(np.cov(points.T))
    for axis, best in zip(colours.axes, directions.T[np.argsort(variances)[::-1][:3]], strict=True):
        assert abs(float(axis @ best)) == pytest.approx(1, abs=1e-4)
        assert axis.sum() >= 0
    np.testing.assert_allclose(colours.centre, points.mean(0), atol=1e-4)


def test_objects_have_colours_that_differ(embedding):
    values, labels = embedding
    picture = np.asarray(ColouredEmbedding(values, fit_colours(values))).astype(float)
    means = np.stack([picture[labels == name].mean(0) for name in range(5)])
    apart = np.linalg.norm(means[:, None] - means[None], axis=-1)
    assert apart[~np.eye(5, dtype=bool)].min() > 25
    for name in range(5):
        assert picture[labels == name].std(0).max() < 12


@pytest.mark.parametrize(
    "key",
    [0, slice(1, 3), (1, slice(2, 9, 3)), (Ellipsis, 0), (slice(None), 4, slice(None), slice(None)), (2, 1, 1, 2)],
)
def test_a_part_is_what_the_whole_has_there(embedding, key):
    values, _ = embedding
    picture = ColouredEmbedding(values, fit_colours(values))
    whole = np.asarray(picture)
    assert picture.shape == whole.shape == (3, 10, 12, 3)
    np.testing.assert_array_equal(picture[key], whole[key])


def test_only_what_is_looked_at_is_read(embedding):
    values, _ = embedding

    class Watched:
        shape = values.shape
        read = 0

        def __getitem__(self, key):
            part = values[key]
            self.read += part.size
            return part

        def __len__(self):
            return len(values)

    watched = Watched()
    ColouredEmbedding(watched, fit_colours(values))[1]
    assert watched.read == values.size // 3


def test_frames_show_their_embedding_and_not_their_numbers():
    layers = np.zeros((6, 1, 4, 8), np.float32)
    layers[0, ..., :5], layers[1, ..., :5] = 1, 1.0
    layers[3, ..., 4:], layers[5, ..., 4:] = 2, 3.0
    picture = np.asarray(ColouredEmbedding(layers, fit_colours(layers, 2), 2))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 2
    assert (picture[..., :5, :] == picture[0, 0, 0]).all()


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 1, 7), (5, 2, 3, 4)])
def test_few_channels_and_constant_embeddings_have_colours(shape):
    for values in (np.zeros(shape, np.float32), np.random.default_rng(0).normal(size=shape).astype(np.float32)):
        picture = np.asarray(ColouredEmbedding(values, fit_colours(values)))
        assert picture.shape == (*shape[1:], 3)


def test_likeness_is_one_at_the_anchor_and_a_half_at_the_bandwidth():
    values = np.array([[0.0, 0.3, 0.5, 4.0], [0, 0.4, 0, 0]], np.float32)
    np.testing.assert_allclose(likeness(values, values[:, 0], 0.5), [1, 0.5, 0.5, 2.0**-64], atol=1e-6)
