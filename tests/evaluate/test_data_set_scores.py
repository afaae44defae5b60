"""Scores of several images: the same as those of one image that holds all of them side by side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantseg_app.errors import RequestError
from plantseg_app.evaluate import (
    LAYERED_IOU_THRESHOLDS,
    count_contingency,
    count_layer_contingency,
    score_images,
    score_layered_images,
)


def random_layers(rng, n_objects):
    """Return one rectangle a layer, which may overlap others."""
    layers = np.zeros((n_objects, 12, 16), np.uint32)
    for number, layer in enumerate(layers, start=1):
        top, left = rng.integers(0, 8, 2)
        height, width = rng.integers(2, 6, 2)
        layer[top : top + height, left : left + width] = number
    return layers


def beside(images):
    """Return stacks side by side in one, ids told apart."""
    n_layers = sum(len(image) for image in images)
    whole, start = np.zeros((n_layers, 12, 16 * len(images)), np.uint32), 0
    for place, image in enumerate(images):
        for layer in image:
            whole[start, :, 16 * place : 16 * (place + 1)] = np.where(layer > 0, start + 1, 0)
            start += 1
    return whole


@given(seed=st.integers(0, 10**6), n_images=st.integers(1, 4))
def test_many_images_score_like_one_image_of_them_all(seed, n_images):
    rng = np.random.default_rng(seed)
    found, truth = ([random_layers(rng, rng.integers(1, 5)) for _ in range(n_images)] for _ in range(2))
    apart = score_layered_images([count_layer_contingency(f, t) for f, t in zip(found, truth, strict=True)])
    whole = score_layered_images([count_layer_contingency(beside(found), beside(truth))])
    assert (apart.ap, apart.mean_ap, apart.aji) == (whole.ap, whole.mean_ap, whole.aji)
    assert (apart.n_images, apart.n_reference) == (n_images, whole.n_reference)


def test_a_case_by_hand():
    # 4 of 5 pixels found (IoU 0.8), 3 of 6 (0.5), one missed, one surplus; the greatest intersection decides.
    truth = np.array([[1, 1, 1, 1, 1, 0, 2, 2, 2, 2, 2, 2, 3, 3, 0, 0]])
    found = np.array([[7, 7, 7, 7, 0, 0, 8, 8, 8, 0, 0, 0, 0, 0, 9, 9]])
    scores = score_layered_images([count_layer_contingency(found[None], truth[None])])
    assert [entry.iou for entry in scores.ap] == list(LAYERED_IOU_THRESHOLDS) == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert [entry.ap for entry in scores.ap] == pytest.approx([2 / 4, 1 / 4, 1 / 4, 1 / 4, 0])
    assert scores.mean_ap == pytest.approx(1.25 / 5)
    assert scores.aji == (4 + 3) / (5 + 6 + 2 + 2)
    plain = score_images([count_contingency(found, truth)])
    assert len(plain.ap) == 10
    assert plain.ap[0].ap == 2 / 4
    assert scores.to_json_dict()["ap"][0] == {"iou": 0.5, "ap": 0.5}


def test_nothing_cannot_be_scored():
    with pytest.raises(RequestError, match="no image"):
        score_images([])
