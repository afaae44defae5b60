"""Agreement of clusters with a second embedding against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.algorithms.consistency_clustering import agreements
from plantseg_app.errors import Cancelled


@given(st.integers(0, 10_000), st.floats(0.2, 2.0))
@settings(max_examples=30, deadline=None)
def test_agreement_is_the_median_of_intersection_over_union(seed, radius):
    rng = np.random.default_rng(seed)
    points, names = rng.normal(size=(60, 2)), rng.integers(0, 4, 60).astype(np.uint32)
    found = agreements(points, names, radius, n_anchors=1000, rng=rng)
    for name in range(1, int(names.max()) + 1):
        members = names == name
        scores = []
        for anchor in points[members]:
            near = np.linalg.norm(points - anchor, axis=1) < radius
            scores.append((near & members).sum() / (near | members).sum())
        assert found[name] == pytest.approx(np.median(scores) if scores else 0.0, abs=1e-9)
    assert found[0] == 0


def test_few_anchors_are_chosen_by_the_generator():
    points, names = np.random.default_rng(0).normal(size=(200, 2)), np.ones(200, np.uint32)
    one, again = (agreements(points, names, 1.0, 3, np.random.default_rng(5)) for _ in range(2))
    assert one.tolist() == again.tolist()


def test_it_can_be_stopped():
    def stop():
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        agreements(np.zeros((3, 1)), np.ones(3, np.uint32), 1.0, 2, np.random.default_rng(0), stop)
