from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from plantseg_app.algorithms.simulate.microscope import (
    Attenuation,
    Camera,
    Illumination,
    Interior,
    Microscope,
    Optics,
    Staining,
    cell_interiors,
    illuminated,
    recorded,
    render,
    sigma_vox,
    stained_walls,
    through_optics,
)
from plantseg_app.algorithms.simulate.tissue import TissueSettings, generate_tissue

EVEN_STAIN = Staining(variation=0, weak_share=0, grain=0)
EVEN_LIGHT = Illumination(unevenness=0)
NO_NOISE = Camera(photons=1e6, read_noise_photons=0, black_percentile=0, white_percentile=100, background=0)


@pytest.fixture(scope="module")
def cells():
    return generate_tissue(TissueSettings(shape_vox=(20, 64, 64), cell_diameter_um=5.0, organ="body", seed=1))


def generator(seed=0):
    return np.random.default_rng(seed)


def half_cubes():
    labels = np.ones((6, 12, 12), np.int32)
    labels[:, :, 6:] = 2
    return labels


def test_walls_lie_between_cells_alone_on_one_side_or_on_both():
    walls = stained_walls(generator(), half_cubes(), Staining())
    assert walls[:, :, 5:7].min() > 0
    assert not walls[:, :, :5].any()
    assert not walls[:, :, 7:].any()
    one = stained_walls(generator(), half_cubes(), Staining(on_both_sides=False))
    assert one[:, :, 5].min() > 0
    assert not one[:, :, 6].any()


def test_a_wall_has_one_brightness_and_others_have_another(cells):
    even = stained_walls(generator(), cells, EVEN_STAIN)
    np.testing.assert_array_equal(np.unique(even), [0, 1])
    varied = stained_walls(generator(), cells, dataclasses.replace(EVEN_STAIN, variation=0.4))
    assert 0.25 < np.log(varied[varied > 0]).std() < 0.6
    single = stained_walls(generator(), half_cubes(), dataclasses.replace(EVEN_STAIN, variation=0.4))
    assert len(np.unique(single[single > 0])) == 1


def test_a_point_is_as_wide_as_the_point_spread_function():
    point = np.zeros((41, 41, 41), np.float32)
    point[20, 20, 20] = 1
    sigma = (sigma_vox(1.2, 0.2), sigma_vox(0.6, 0.15), sigma_vox(0.6, 0.15))
    image = through_optics(point, np.zeros_like(point), Optics(psf_sigma_vox=sigma, haze=0))
    at = np.arange(41) - 20
    for axis, (fwhm_um, voxel_um) in enumerate([(1.2, 0.2), (0.6, 0.15), (0.6, 0.15)]):
        profile = image.sum(axis=tuple(i for i in range(3) if i != axis))
        # The Gaussian is cut off at three standard deviations, so that it measures a little narrower.
        assert np.sqrt((profile * at**2).sum() / profile.sum()) * 2.3548 * voxel_um == pytest.approx(fwhm_um, rel=0.03)
    line = image[20, 20] / image.max()
    assert np.interp(0.5, line[20:28][::-1], at[20:28][::-1]) * 2 * 0.15 == pytest.approx(0.6, rel=0.05)


def test_haze_adds_light_where_nothing_is():
    walls = np.zeros((8, 32, 32), np.float32)
    walls[:, :, 16] = 1
    dark, hazy = (through_optics(walls, np.zeros_like(walls), Optics(haze=h))[:, :, 4].mean() for h in (0, 0.5))
    assert dark < 1e-6 < hazy


def test_light_is_lost_with_depth_in_tissue_as_the_law_says():
    image = np.ones((20, 4, 4), np.float32)
    tissue = np.ones((20, 4, 4), bool)
    tissue[:5] = False
    lost = Illumination(unevenness=0, attenuation=(Attenuation(per_vox=0.1),))
    np.testing.assert_allclose(
        illuminated(generator(), image, tissue, lost)[:, 0, 0], np.exp(-0.1 * np.maximum(np.arange(20) - 5, 0)), 1e-5
    )
    below = Illumination(unevenness=0, attenuation=(Attenuation(per_vox=0.1, in_tissue_alone=False, is_reversed=True),))
    np.testing.assert_allclose(
        illuminated(generator(), image, tissue, below)[:, 0, 0], np.exp(-0.1 * np.arange(20))[::-1], 1e-5
    )


def test_nuclei_shine_in_the_middle_of_cells(cells):
    plain = Interior(variation=0, texture=0)
    without, with_nuclei = (
        cell_interiors(generator(), cells, interior)
        for interior in (plain, dataclasses.replace(plain, nuclei_low=0.5, nuclei_high=0.5))
    )
    added = with_nuclei - without
    walls = stained_walls(generator(), cells, EVEN_STAIN) > 0
    assert added[walls].mean() < 0.3 * added[~walls & (cells > 0)].mean()
    assert added.max() == pytest.approx(0.5, abs=0.05)


def test_more_photons_give_less_noise():
    image = np.full((10, 40, 40), 0.5, np.float32)
    image[:, :, 20:] = 1.0

    def signal_to_noise(photons):
        raw = recorded(generator(), image, Camera(photons=photons, white_percentile=100, dtype="uint16")).astype(float)
        return (raw[:, :, 20:].mean() - raw[:, :, :20].mean()) / raw[:, :, 20:].std()

    few, some, many = (signal_to_noise(photons) for photons in (5, 50, 500))
    assert few < some / 1.5 < many / 3
    # Poisson: half a wall's difference over its square root, and read noise 2.
    assert some == pytest.approx(25 / np.sqrt(51 + 4), rel=0.1)


def test_the_camera_saturates_and_uses_the_range_of_its_numbers():
    image = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(1, 100, 100)
    tenth = recorded(generator(), image, dataclasses.replace(NO_NOISE, white_percentile=90))
    assert 0.09 < (tenth == 255).mean() < 0.11
    deep = recorded(generator(), image, dataclasses.replace(NO_NOISE, dtype="uint16"))
    assert deep.dtype == np.uint16
    assert (deep.min(), deep.max()) == (0, 65535)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_walls_are_brighter_than_what_they_enclose(cells, dtype):
    raw = render(generator(), cells, Microscope(camera=Camera(dtype=dtype)))
    assert raw.dtype == dtype
    assert raw.shape == cells.shape
    walls = stained_walls(generator(), cells, EVEN_STAIN) > 0
    assert raw[walls].mean() > 1.5 * raw[~walls & (cells > 0)].mean()
    assert raw[(cells == 0) & ~walls].mean() < raw[walls].mean() / 2


def test_the_same_seed_gives_the_same_image_whatever_numbers_the_cells_have(cells):
    first, again, other = (render(generator(seed), cells, Microscope()) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5
    renamed = np.where(cells > 0, cells.astype(np.uint64) * 10**12, 0)
    np.testing.assert_array_equal(first, render(generator(3), renamed, Microscope()))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 20), (3, 1, 7)])
@pytest.mark.parametrize("value", [0, 1])
def test_small_and_uniform_volumes_are_drawn(shape, value):
    assert render(generator(), np.full(shape, value, np.uint32), Microscope()).shape == shape
