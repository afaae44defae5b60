from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from plantseg_app.core.context import QuietContext
from plantseg_app.errors import InputError, RequestError
from plantseg_app.train.data import Stack, check_lists, expand, load_data, read_stack, split
from plantseg_app.train.patches import LabelledPlaces, PatchSource, shares
from plantseg_app.train.settings import AugmentSettings, DataSettings, PatchSettings, SplitSettings, StackFiles


def write(path: Path, raw: np.ndarray, labels: np.ndarray, voxel: tuple = (0.4, 0.2, 0.2)) -> str:
    with h5py.File(path, "w") as file:
        for name, data in (("raw", raw), ("label", labels)):
            file[name] = data
            file[name].attrs["element_size_um"] = voxel
    return str(path)


def test_files_of_different_size_and_voxel_size_come_to_one_scale(tmp_path: Path, tissue: tuple) -> None:
    raw, labels = tissue
    one = write(tmp_path / "one.h5", raw, labels)
    two = write(tmp_path / "two.h5", raw[:, :40], labels[:, :40], (0.4, 0.4, 0.4))
    settings = DataSettings(train=(one,), validation=(two,), voxel_size_um=(0.4, 0.4, 0.4))
    train, validation = load_data(settings, QuietContext(), tmp_path / "cache")
    assert train[0].shape_vox == (16, 24, 32)
    assert validation[0].shape_vox == (16, 40, 64)
    assert train[0].voxel_size_um == (0.4, 0.4, 0.4)
    assert set(np.unique(train[0].labels)) <= set(np.unique(labels))
    assert not (tmp_path / "cache").exists()


def test_stacks_beyond_the_memory_are_kept_on_the_disk(tmp_path: Path, tissue: tuple) -> None:
    paths = [write(tmp_path / f"{i}.h5", np.repeat(tissue[0], 6, 0), np.repeat(tissue[1], 6, 0)) for i in range(2)]
    settings = DataSettings(train=(paths[0],), validation=(paths[1],), memory_mb=2)
    (train,), (validation,) = load_data(settings, QuietContext(), tmp_path / "cache")
    assert not isinstance(train.labels, np.memmap)
    assert isinstance(validation.labels, np.memmap)
    np.testing.assert_array_equal(train.image, validation.image)


def test_pairs_by_pattern_with_ignore_masks(tmp_path: Path, tissue: tuple) -> None:
    for folder, data in (("raw", tissue[0]), ("lab", tissue[1].astype(np.uint16)), ("ign", tissue[1] == 3)):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            target = tmp_path / folder / f"{name}.tif"
            tifffile.imwrite(target, data.astype(np.uint16), imagej=True, metadata={"axes": "ZYX"})
    entry = StackFiles(image=f"{tmp_path}/raw/*.tif", labels=f"{tmp_path}/lab/*.tif", ignore=f"{tmp_path}/ign/*.tif")
    assert [Path(files.labels).name for files in expand([entry])] == ["a.tif", "b.tif"]
    settings = DataSettings(train=(entry,), split=SplitSettings(axis="stacks", fraction=0.5))
    train, validation = load_data(settings, QuietContext(), tmp_path)
    assert len(train) == len(validation) == 1
    np.testing.assert_array_equal(train[0].known, tissue[1] != 3)
    (tmp_path / "lab" / "b.tif").unlink()
    with pytest.raises(RequestError, match=r"b\.tif needs labels"):
        expand([entry])


@pytest.mark.parametrize("ignore", [-1, 0, 5])
def test_ignore_label_becomes_a_mask(tmp_path: Path, tissue: tuple, ignore: int) -> None:
    labels = tissue[1].astype(np.int32)
    labels[:, :7] = ignore
    path = write(tmp_path / "one.h5", tissue[0], labels)
    settings = DataSettings(train=(path,), split=SplitSettings(axis="x"), ignore_label=ignore)
    train, _ = load_data(settings, QuietContext(), tmp_path)
    assert train[0].known is not None
    assert not train[0].known[:, :7].any()
    assert not train[0].labels[:, :7].any()


def test_a_network_is_never_judged_on_nothing_or_on_what_it_learned(tmp_path: Path, tissue: tuple) -> None:
    path = write(tmp_path / "one.h5", *tissue)
    (tmp_path / "link.h5").symlink_to(path)
    with pytest.raises(RequestError, match="nothing to validate on"):
        check_lists([StackFiles(path=path)], [], None)
    with pytest.raises(RequestError, match="nothing to train on"):
        check_lists([], [StackFiles(path=path)], None)
    with pytest.raises(RequestError, match="would mean nothing"):
        check_lists([StackFiles(path=path)], [StackFiles(path=str(tmp_path / "link.h5"))], None)


def test_a_slab_split_shares_no_voxel_and_one_grey_scale(tissue_stack: Stack) -> None:
    (train,), (validation,) = split([tissue_stack], SplitSettings(fraction=0.25, axis="x"))
    assert train.shape_vox == (16, 48, 48)
    assert validation.shape_vox == (16, 48, 16)
    np.testing.assert_array_equal(np.concatenate([train.image, validation.image], -1), tissue_stack.image)
    np.testing.assert_array_equal(train.offset, validation.offset)


def test_what_cannot_be_learned_from_is_refused(tissue: tuple) -> None:
    assert not Stack.from_arrays(tissue[0], tissue[1] * 0).is_labelled
    assert not Stack.from_arrays(tissue[0], tissue[1], tissue[1] == 0).is_labelled
    with pytest.raises(InputError, match="the labels"):
        Stack.from_arrays(tissue[0][1:], tissue[1])


def test_stacks_without_labels_are_left_out_with_a_word(tmp_path: Path, tissue: tuple) -> None:
    full = write(tmp_path / "full.h5", *tissue)
    other = write(tmp_path / "other.h5", *tissue)
    empty = write(tmp_path / "empty.h5", tissue[0], tissue[1] * 0)
    context = QuietContext()
    train, validation = load_data(DataSettings(train=(full, empty), validation=(other,)), context, tmp_path)
    assert (len(train), len(validation)) == (1, 1)
    assert "empty.h5 has no labelled voxel" in context.messages[0]
    with pytest.raises(InputError, match="are these the labels"):
        load_data(DataSettings(train=(full,), validation=(empty,)), context, tmp_path)


def test_drawn_places_are_near_labels_and_never_elsewhere(tissue: tuple) -> None:
    labels = np.zeros_like(tissue[1])
    labels[3, 33:36, 20:25] = 1
    known = np.ones(labels.shape, bool)
    known[3, 34:] = False
    stack = Stack.from_arrays(tissue[0], labels, known)
    places = LabelledPlaces(stack)
    assert places.count == 5
    rng = np.random.default_rng(0)
    drawn = np.array([places.draw(rng) for _ in range(50)])
    assert (drawn[:, 0] == 3).all()
    assert drawn[:, 1].min() >= 32
    assert drawn[:, 1].max() < 48
    assert drawn[:, 2].min() >= 16
    assert drawn[:, 2].max() < 32


def test_patches_come_from_stacks_by_share_or_by_labelled_voxels(tmp_path: Path, tissue: tuple) -> None:
    raw, labels = tissue
    for name in ("rare-a", "rare-b", "usual"):
        write(tmp_path / f"{name}.h5", raw, np.where(labels > 0, labels, 1))
    half = np.where(np.arange(labels.shape[2]) < labels.shape[2] // 2, np.maximum(labels, 1), 0)
    write(tmp_path / "half.h5", raw, half)
    rare = StackFiles(path=f"{tmp_path}/rare-*.h5", share=0.4)
    others = [StackFiles(path=str(tmp_path / f"{name}.h5")) for name in ("usual", "half")]
    stacks = [read_stack(files, DataSettings()) for files in expand([rare, *others])]
    expected = np.array([0.2, 0.2, 0.4, 0.2])
    np.testing.assert_allclose(shares(stacks, [LabelledPlaces(stack).count for stack in stacks]), expected)
    # What is drawn follows: each stack is known by its own grey value.
    drawn = [dataclasses.replace(stack, image=np.full_like(stack.image, i)) for i, stack in enumerate(stacks)]
    drawn = [dataclasses.replace(stack, offset=np.zeros(1), width=np.ones(1)) for stack in drawn]
    patches = PatchSettings(shape_vox=(1, 8, 8), min_labelled=0.0)
    source = PatchSource(drawn, lambda found, _: found[None].astype(np.float32), patches, AugmentSettings.off())
    came = [int(source.sample(np.random.default_rng(i)).image.mean()) for i in range(600)]
    np.testing.assert_allclose(np.bincount(came, minlength=4) / 600, expected, atol=0.06)


def test_shares_that_cannot_be_are_refused(tissue: tuple) -> None:
    stack = Stack.from_arrays(*tissue)
    large, small = dataclasses.replace(stack, share=0.7), dataclasses.replace(stack, share=0.3)
    with pytest.raises(RequestError, match=r"come to 1\.4; make them less"):
        shares([large, large], [1, 1])
    with pytest.raises(RequestError, match="come to 1, and 1 stacks without a share are to get the rest"):
        shares([large, small, stack], [1, 1, 1])
    np.testing.assert_allclose(shares([large, small], [1, 9]), [0.7, 0.3])
    np.testing.assert_allclose(shares([small, small], [1, 9]), [0.5, 0.5])
