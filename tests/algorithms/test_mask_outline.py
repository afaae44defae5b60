from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.algorithms.mask_outline import ObjectSettings, segment_mask_and_outline
from plantseg_app.evaluate import adapted_rand, average_precision, count_contingency
from plantseg_app.networks.boundary.family import BoundaryFamily


def balls(shape: tuple[int, int, int], n_balls: int, seed: int) -> np.ndarray:
    """Balls of radius 5 to 7, some of which touch; the later one lies on top."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    labels = np.zeros(shape, np.uint32)
    centres: list[np.ndarray] = []
    while len(centres) < n_balls:
        centre = (
            rng.uniform(5, np.array(shape) - 5) if shape[0] > 1 else rng.uniform((0, 5, 5), (0.1, shape[1], shape[2]))
        )
        if all(np.linalg.norm(centre - other) > 11 for other in centres):
            centres.append(centre)
            labels[((grid - centre) ** 2).sum(-1) <= rng.uniform(5, 7) ** 2] = len(centres)
    return labels


@pytest.mark.parametrize("shape", [(24, 60, 60), (1, 90, 90)])
def test_the_targets_of_nuclei_decode_to_the_nuclei(shape: tuple[int, int, int]) -> None:
    """The strongest test of a family: what a perfect network would say is segmented as it should be."""
    labels = balls(shape, 20, 0)
    family = BoundaryFamily(dimensions="2D" if shape[0] == 1 else "3D", predicts=("nuclei", "boundary"))
    mask, outline = family.targets(labels, None)
    found = segment_mask_and_outline(mask, outline, ObjectSettings(min_size=5))
    table = count_contingency(found, labels)
    assert average_precision(table, 0.8) == 1.0
    assert adapted_rand(table).error < 0.02
    np.testing.assert_array_equal(found > 0, (labels > 0) & (found > 0))
    assert ((found > 0) == (labels > 0)).mean() > 0.995


def test_pieces_without_an_outline_between_them_are_one_object() -> None:
    mask = np.zeros((1, 20, 80), np.float32)
    mask[:, 6:14, 5:75] = 1
    outline = np.zeros_like(mask)
    assert segment_mask_and_outline(mask, outline).max() == 1
    outline[:, :, 39:41] = 1
    assert segment_mask_and_outline(mask, outline).max() == 2
    outline[:, :, 39:41] = 0.4
    assert segment_mask_and_outline(mask, outline, ObjectSettings(outline_threshold=0.3, beta=0.9)).max() == 2
    assert segment_mask_and_outline(mask, outline, ObjectSettings(outline_threshold=0.3, beta=0.5)).max() == 1


def test_without_outlines_touching_objects_part_by_shape() -> None:
    labels = balls((24, 60, 60), 20, 3)
    mask = (labels > 0).astype(np.float32)
    found = segment_mask_and_outline(mask, mask * 0, ObjectSettings(sigma_seeds=2.0), joins=False)
    assert average_precision(count_contingency(found, labels), 0.5) > 0.7


def test_small_objects_vanish_and_empty_masks_stay_empty() -> None:
    mask = np.zeros((4, 30, 30), np.float32)
    outline = np.zeros_like(mask)
    assert not segment_mask_and_outline(mask, outline).any()
    mask[1:3, 3:5, 3:5] = 1
    mask[:, 12:24, 12:24] = 1
    assert segment_mask_and_outline(mask, outline, ObjectSettings(min_size=20)).max() == 1
    assert segment_mask_and_outline(mask, outline, ObjectSettings(min_size=0)).max() == 2
    assert segment_mask_and_outline(mask, mask, ObjectSettings()).max() == 0


def test_objects_much_smaller_than_the_usual_one_vanish_when_asked() -> None:
    mask = np.zeros((1, 60, 60), np.float32)
    for y, x, edge in ((2, 2, 12), (2, 20, 12), (20, 2, 14), (20, 30, 6), (50, 50, 4)):
        mask[:, y : y + edge, x : x + edge] = 1
    found = {}
    for share in (0.0, 0.2, 0.26):
        labels = segment_mask_and_outline(mask, mask * 0, ObjectSettings(min_share=share))
        found[share] = sorted(np.bincount(labels.ravel())[1:])
    # 4 x 4 voxels are below min_size and do not count as usual either: the median is 144.
    assert found[0.0] == [36, 144, 144, 196]
    assert found[0.2] == [36, 144, 144, 196]
    assert found[0.26] == [144, 144, 196]


def test_the_result_does_not_depend_on_the_threads() -> None:
    labels = balls((24, 60, 60), 20, 5)
    mask, outline = BoundaryFamily(predicts=("nuclei", "boundary")).targets(labels, None)
    one = segment_mask_and_outline(mask, outline, n_threads=1)
    np.testing.assert_array_equal(one, segment_mask_and_outline(mask, outline, n_threads=3))
