"""The steps that change grey values; what they compute is tested with the algorithms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi

from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Origin, Place, Volume, VoxelSize
from plantseg_app.errors import Cancelled, InputError, RequestError

SIZE = VoxelSize(0.5, 0.25, 0.25)


def raw(shape=(6, 16, 18), dtype=np.float32, **changes):
    data = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    return Volume(data, Kind.RAW, changes.pop("voxel_size_um", SIZE), **changes)


def run(step_id, image, context=None, **fields):
    inputs = image if isinstance(image, dict) else {"image": image}
    return make_step(step_id, fields).execute(inputs, context or QuietContext(n_threads=2))


class Stopped(QuietContext):
    """The user has asked to stop while the step runs."""

    def __init__(self):
        super().__init__(n_threads=1)
        self.asked = 0

    def check(self):
        self.asked += 1
        if self.asked > 1:
            raise Cancelled("stopped")


@pytest.mark.parametrize(
    "step_id", ["gaussian", "median", "normalise", "clahe", "subtract-background", "combine-images"]
)
def test_it_stops_when_asked(step_id):
    image = {"first": raw(), "second": raw()} if step_id == "combine-images" else raw()
    with pytest.raises(Cancelled):
        run(step_id, image, Stopped())


def test_gaussian_reaches_equally_far_in_all_directions():
    image = raw()
    expected = ndi.gaussian_filter(image.data, (1.0, 2.0, 2.0))
    np.testing.assert_allclose(run("gaussian", image, sigma=2).data, expected, rtol=1e-5)
    np.testing.assert_allclose(run("gaussian", image, sigma=0.5, unit="um").data, expected, rtol=1e-5)
    slices = ndi.gaussian_filter(image.data, (0.0, 2.0, 2.0))
    np.testing.assert_allclose(run("gaussian", image, sigma=2, per_slice=True).data, slices, rtol=1e-5)
    unknown = raw(voxel_size_um=None)
    np.testing.assert_allclose(run("gaussian", unknown).data, ndi.gaussian_filter(unknown.data, 1.0), rtol=1e-5)
    with pytest.raises(InputError, match="set-voxel-size"):
        run("gaussian", unknown, unit="um")


@pytest.mark.parametrize("step_id", ["gaussian", "median", "normalise", "clahe", "subtract-background", "invert"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(1, 16, 18), (4, 16, 18)])
def test_each_channel_is_treated_by_itself(step_id, dtype, shape):
    first, second = raw(shape, dtype), raw(shape, dtype).data[:, ::-1].copy()
    both = first.replace(data=np.stack([first.data, second // 2 if np.dtype(dtype).kind == "u" else second / 2]))
    settings = {"within": "type" if np.dtype(dtype).kind == "u" else "one"} if step_id == "invert" else {}
    result = run(step_id, both, **settings)
    assert result.data.shape == (2, *shape)
    for channel in range(2):
        alone = run(step_id, first.replace(data=both.data[channel]), **settings)
        np.testing.assert_allclose(result.data[channel], alone.data, atol=1e-4)
        assert result.data.dtype == alone.data.dtype
    if step_id in ("median", "subtract-background", "invert"):
        assert result.data.dtype == dtype
    else:
        assert result.data.dtype == np.float32


def test_median_of_a_2d_image_is_that_of_a_disk():
    image = raw((1, 16, 18), np.uint16)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    expected = ndi.median_filter(image.data[0], footprint=cross)
    np.testing.assert_array_equal(run("median", image).data[0], expected)
    slices = run("median", raw((4, 16, 18), np.uint16), per_slice=True).data
    np.testing.assert_array_equal(slices[2], ndi.median_filter(raw((4, 16, 18), np.uint16).data[2], footprint=cross))


def test_normalise_methods():
    image = raw(dtype=np.uint16)
    low, high = np.percentile(image.data, (1, 99.8))
    expected = (image.data - low) / (high - low)
    np.testing.assert_allclose(run("normalise", image).data, expected, atol=1e-6)
    np.testing.assert_allclose(run("normalise", image, clip=True).data, expected.clip(0, 1), atol=1e-6)
    z_score = run("normalise", image, method="z-score").data
    assert z_score.mean() == pytest.approx(0, abs=1e-5)
    assert z_score.std() == pytest.approx(1, abs=1e-5)
    stretched = run("normalise", image, method="min-max").data
    assert (stretched.min(), stretched.max()) == (0, 1)
    with pytest.raises(RequestError, match="low_percentile"):
        make_step("normalise", {"low_percentile": 60, "high_percentile": 40})


@pytest.mark.parametrize("method", ["rolling-ball", "top-hat", "gaussian"])
def test_background_goes_and_cells_stay(method):
    y = np.linspace(0, 100, 80)
    slope = np.broadcast_to(y[None, :, None], (3, 80, 80))
    spots = np.zeros((3, 80, 80))
    spots[:, 10::20, 10::20] = 1
    spots = ndi.gaussian_filter(spots, (0, 1.5, 1.5))
    spots *= 100 / spots.max()
    image = Volume((slope + spots).astype(np.uint8), Kind.RAW)
    result = run("subtract-background", image, method=method, radius=12).data
    assert result.dtype == np.uint8
    inner = (slice(None), slice(15, -15), slice(15, -15))
    background = spots[inner] < 1
    assert result[inner][background].mean() < 12 < slope[inner][background].mean()
    assert result[:, 30, 30].min() > 60


def test_clahe_raises_contrast_of_a_dim_half():
    image = raw((2, 64, 64))
    dim = image.replace(data=image.data * np.where(np.arange(64) < 32, 0.1, 1.0).astype(np.float32))
    result = run("clahe", dim, region=16, max_slope=10).data
    assert result[..., :24].std() / result[..., 40:].std() > 3 * dim.data[..., :24].std() / dim.data[..., 40:].std()
    solid = run("clahe", dim, region=16, per_slice=False)
    assert solid.data.shape == dim.data.shape


def test_combining_two_images():
    first, second = raw(dtype=np.uint8), raw(dtype=np.uint8)
    both = {"first": first, "second": second.replace(kind=Kind.NUCLEI)}
    np.testing.assert_array_equal(run("combine-images", both).data, first.data.astype(float) * 2)
    normalised = run("combine-images", both, operation="subtract", normalise_inputs=True)
    np.testing.assert_array_equal(normalised.data, 0)
    assert normalised.kind is Kind.RAW
    clipped = run("combine-images", both, clip_output=True).data
    assert clipped.max() == 1
    stretched = run("combine-images", both, operation="multiply", normalise_output=True).data
    assert (stretched.min(), stretched.max()) == (0, 1)
    with pytest.raises(InputError, match="rescale"):
        run("combine-images", {"first": first, "second": raw((6, 16, 17))})
    with pytest.raises(InputError, match="select-channel"):
        run("combine-images", {"first": first, "second": raw((2, 6, 16, 18))})


def test_inverting_a_probability():
    boundary = Volume(np.array([[[0.0, 0.25, 1.0]]], np.float32), Kind.BOUNDARY)
    np.testing.assert_array_equal(run("invert", boundary).data, [[[1.0, 0.75, 0.0]]])


def test_select_channel():
    image = raw((3, 2, 4, 5))
    result = run("select-channel", image, channel=2)
    np.testing.assert_array_equal(result.data, image.data[2])
    assert result.data.base is None
    single = raw()
    assert run("select-channel", single) is single
    with pytest.raises(RequestError, match="0 to 2"):
        run("select-channel", image, channel=3)


def test_mask_image():
    image = raw()
    labels = Volume((image.data > 100).astype(np.uint32) * 7, Kind.LABELS)
    inside = image.data > 100
    np.testing.assert_array_equal(run("mask-image", {"image": image, "mask": labels}).data, image.data * inside)
    outside = run("mask-image", {"image": image, "mask": labels}, keep_outside=True).data
    np.testing.assert_array_equal(outside, image.data * ~inside)
    foreground = Volume(image.data / 200, Kind.FOREGROUND)
    both = run("mask-image", {"image": labels, "mask": foreground}, threshold=0.75).data
    np.testing.assert_array_equal(both, labels.data * (foreground.data >= 0.75))
    assert both.dtype == np.uint32
    channels = raw((2, 6, 16, 18))
    assert not run("mask-image", {"image": channels, "mask": labels}).data[:, ~inside].any()


def test_max_projection():
    image = raw((2, 6, 4, 5), origin=Origin("a", shape_vox=(6, 4, 5)), place=Place((1, 0, 0), (7, 4, 5), (9, 4, 5)))
    result = run("max-projection", image)
    np.testing.assert_array_equal(result.data[:, 0], image.data.max(axis=1))
    assert result.voxel_size_um == SIZE
    assert result.origin.shape_vox == (1, 4, 5)
    assert result.place == Place((0, 0, 0), (1, 4, 5), (1, 4, 5))
    some = run("max-projection", image, first_slice=2, n_slices=3)
    np.testing.assert_array_equal(some.data[:, 0], image.data[:, 2:5].max(axis=1))
    with pytest.raises(RequestError, match="outside"):
        run("max-projection", image, first_slice=4, n_slices=3)


def test_set_voxel_size():
    image = raw(voxel_size_um=None)
    result = run("set-voxel-size", image, voxel_size_um="0.2,0.1,0.1")
    assert result.voxel_size_um == (0.2, 0.1, 0.1)
    assert result.data is image.data
    halved = image.replace(place=Place((0, 0, 0), (12, 16, 18), (20, 20, 20)))
    assert run("set-voxel-size", halved, voxel_size_um=0.25).place.full_voxel_size_um == (0.125, 0.25, 0.25)
    with pytest.raises(RequestError, match="voxel_size_um"):
        run("set-voxel-size", image)
    with pytest.raises(RequestError, match="voxel_size_um"):
        make_step("set-voxel-size", {"voxel_size_um": "0,1,1"})
