from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.train import intensity
from plantseg_app.train.data import Stack
from plantseg_app.train.patches import PatchSource, stream_batches, unaugmented
from plantseg_app.train.settings import AugmentSettings, PatchSettings
from plantseg_app.train.warp import (
    Warp,
    draw_warp,
    elastic,
    find_places,
    mirroring,
    quarter_turn,
    rotation,
    take_linear,
    take_nearest,
)

PATCH = PatchSettings(shape_vox=(8, 24, 16), batch=2, anywhere=0.0)
ALL = AugmentSettings(
    rotate=1.0, tilt_deg=10, scale=1.0, elastic=1.0, misaligned_slices=1.0, gamma=1.0, contrast=1.0,
    blur=1.0, blur_z=1.0, gaussian_noise=1.0, poisson_noise=1.0, slice_jitter=1.0, missing_slices=1.0,
)  # fmt: skip


def as_target(labels: np.ndarray, _voxel: object) -> np.ndarray:
    return labels[None].astype(np.float32)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_mirrors_and_quarter_turns_copy_voxels_as_numpy_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    volume = rng.integers(0, 1000, (5, 8, 9))
    times, signs = int(rng.integers(4)), mirroring(rng, 0.5, True)
    warp = Warp(quarter_turn(times) @ signs)
    shape = (3, 4, 5)
    size = (3, 5, 4) if times % 2 else shape
    start = [int(rng.integers(0, n - s + 1)) for n, s in zip(volume.shape, size, strict=True)]
    centre = np.array(start) + (np.array(size) - 1) / 2
    got = take_nearest(volume, find_places(warp, centre, shape))
    box = volume[tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))]
    flips = [axis for axis in range(3) if signs[axis, axis] < 0]
    np.testing.assert_array_equal(got, np.flip(np.rot90(box, -times, (1, 2)), flips))


@pytest.mark.parametrize("shape", [(8, 24, 16), (1, 24, 16)])
def test_image_labels_and_mask_move_together(shape: tuple[int, int, int]) -> None:
    """An image that is a smooth function of place shows where its labels went."""
    z, y, x = np.meshgrid(np.arange(20), np.arange(60), np.arange(70), indexing="ij")
    image = np.stack([z, y, x]).astype(np.float32)
    if shape[0] == 1:
        image, z, y, x = image[:, :1], z[:1], y[:1], x[:1]
    labels = (z * 100_000 + y * 1000 + x).astype(np.uint32)
    for seed in range(6):
        warp = draw_warp(np.random.default_rng(seed), ALL, shape, (2.0, 1.0, 1.0))
        places = find_places(warp, (np.array(labels.shape) - 1) / 2, shape)
        place = take_linear(image, places)
        label = take_nearest(labels, places).astype(int)
        same = take_nearest(labels % 7 == 3, places)
        np.testing.assert_array_equal(same, label % 7 == 3)
        inside = np.ones(shape, bool)
        for axis, low in enumerate(places.start):
            inside &= (places.positions[axis] + low > 0) & (places.positions[axis] + low < labels.shape[axis] - 1)
        where = np.stack([label // 100_000, label // 1000 % 100, label % 1000])
        assert inside.mean() > 0.3 or shape[0] == 1
        assert np.abs(place - where)[:, inside].max(initial=0) <= 0.5001


def test_a_patch_is_interpolated_at_most_once(monkeypatch: pytest.MonkeyPatch, tissue_stack: Stack) -> None:
    from scipy import ndimage

    calls = []
    original = ndimage.map_coordinates
    monkeypatch.setattr(ndimage, "map_coordinates", lambda *a, **k: calls.append(1) or original(*a, **k))
    source = PatchSource([tissue_stack], as_target, PATCH, ALL)
    source.sample(np.random.default_rng(0))
    assert len(calls) == 1
    calls.clear()
    gentle = AugmentSettings.off().model_copy(update={"flip": 0.5, "rot90": True})
    PatchSource([tissue_stack], as_target, PATCH, gentle).sample(np.random.default_rng(0))
    assert not calls


def test_without_augmentation_patches_are_pieces_of_the_stack(tissue_stack: Stack) -> None:
    source = PatchSource([tissue_stack], as_target, PATCH, AugmentSettings.off())
    image = tissue_stack.normalised(tissue_stack.image)
    for seed in range(5):
        sample = source.sample(np.random.default_rng(seed))
        windows = np.lib.stride_tricks.sliding_window_view(tissue_stack.labels, PATCH.shape_vox)
        at = np.argwhere((windows == sample.target[0]).all((3, 4, 5)))
        assert len(at)
        place = tuple(slice(a, a + n) for a, n in zip(at[0], PATCH.shape_vox, strict=True))
        np.testing.assert_array_equal(sample.image[0], image[0][place])


def test_validation_patches_are_never_changed(tissue_stack: Stack) -> None:
    centre = np.array([7.5, 23.5, 31.5])
    sample = unaugmented(PATCH, tissue_stack, as_target, centre)
    np.testing.assert_array_equal(sample.target[0], tissue_stack.labels[4:12, 12:36, 24:40])
    np.testing.assert_array_equal(sample.image, tissue_stack.normalised(tissue_stack.image[:, 4:12, 12:36, 24:40]))


def test_a_stack_smaller_than_the_patch_is_continued_as_in_a_mirror(tissue: tuple) -> None:
    small = Stack.from_arrays(tissue[0][:4, :16, :8], tissue[1][:4, :16, :8])
    sample = PatchSource([small], as_target, PATCH, AugmentSettings.off()).sample(np.random.default_rng(0))
    np.testing.assert_array_equal(sample.target[0], np.pad(small.labels, ((2, 2), (4, 4), (4, 4)), "symmetric"))


def test_batches_depend_on_seed_and_number_alone(tissue_stack: Stack) -> None:
    def first(workers: int, start: int) -> list[np.ndarray]:
        patches = PATCH.model_copy(update={"workers": workers})
        stream = stream_batches(PatchSource([tissue_stack], as_target, patches, ALL), 3, start)
        batches = [next(stream).image.numpy() for _ in range(4 - start)]
        stream.close()
        return batches

    whole, threaded, resumed = first(1, 0), first(3, 0), first(1, 2)
    np.testing.assert_array_equal(whole, threaded)
    np.testing.assert_array_equal(whole[2:], resumed)
    assert not np.array_equal(whole[0], whole[1])


def test_rotations_keep_lengths_and_elastic_fields_are_as_strong_as_asked() -> None:
    rng = np.random.default_rng(0)
    turn = rotation(rng, 180, 30)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    fields = np.stack([elastic(rng, (16, 64, 64), (1, 1, 1), 3.0, 16.0) for _ in range(20)])
    assert 1.5 < fields.std() < 3.0
    assert np.abs(np.diff(fields, axis=-1)).max() < 3.0
    assert not elastic(rng, (1, 32, 32), (1, 1, 1), 3.0, 16.0)[0].any()


@pytest.mark.parametrize("name", ["change_contrast", "change_gamma", "blur", "blur_along_z", "jitter_slices",
                                  "add_poisson_noise", "add_gaussian_noise", "blacken_slices"])  # fmt: skip
def test_grey_values_change_finitely_and_not_in_place(name: str) -> None:
    strengths = {"change_contrast": (1.5, 0.1), "blacken_slices": ()}
    image = np.random.default_rng(1).normal(0.4, 0.4, (2, 6, 12, 12)).astype(np.float32)
    before = image.copy()
    result = getattr(intensity, name)(np.random.default_rng(0), image, *strengths.get(name, (1.5,)))
    np.testing.assert_array_equal(image, before)
    assert result.shape == image.shape
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert not np.array_equal(result, image)


def test_noise_has_the_strength_it_says() -> None:
    image = np.full((1, 16, 64, 64), 0.5, np.float32)
    noisy = intensity.add_poisson_noise(np.random.default_rng(0), image, 20.0)
    assert noisy.mean() == pytest.approx(0.5, abs=0.01)
    assert (0.5 / 600) ** 0.5 * 0.9 < noisy.std() < (0.5 / 20) ** 0.5 * 1.1
    dark = intensity.blacken_slices(np.random.default_rng(0), image)[0].any((1, 2))
    assert 1 <= (~dark).sum() < 16
