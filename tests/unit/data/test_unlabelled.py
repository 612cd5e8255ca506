"""Training rows without a label: kept, read from a folder or an .npz, and refused where they make no sense."""

import numpy as np
import pytest
from PIL import Image

from jaxaug import data
from jaxaug.core.errors import UsageError
from jaxaug.core.random import HostStream
from jaxaug.data.sampler import stream_rows


def test_labels_that_are_kept():
    """As many of each class, by a function of the seed; nothing else changes."""
    whole, one, again, other = (
        data.load("digits", labels_per_class=n, seed=seed) for n, seed in ((0, 0), (3, 0), (3, 0), (3, 1))
    )
    assert np.bincount(one.train.label[one.train.label >= 0]).tolist() == [3] * 10
    kept = one.train.label >= 0
    assert (one.train.label[kept] == whole.train.label[kept]).all()
    assert (one.train.label == again.train.label).all()
    assert (one.train.label != other.train.label).any()
    assert (one.train.image == whole.train.image).all()
    with pytest.raises(UsageError, match=r"digits: labels_per_class=500, but class '.' has 1.. labelled training rows"):
        data.load("digits", labels_per_class=500)
    for number in (-1, 2.5):
        with pytest.raises(UsageError, match=f"labels_per_class={number} must be a whole number, 0 or more"):
            data.load("digits", labels_per_class=number)


def test_rows_without_a_label_that_are_kept():
    """So many of them, by a function of the seed, and all that have one."""
    all_of, one, again, other = (
        data.load("digits", labels_per_class=3, unlabelled=n, seed=seed)
        for n, seed in ((0, 0), (50, 0), (50, 0), (50, 1))
    )
    assert (len(one.train), (one.train.label >= 0).sum()) == (80, 30)
    np.testing.assert_array_equal(one.train.index, again.train.index)
    assert {*all_of.train.index[all_of.train.label >= 0]} <= {*one.train.index}
    assert {*one.train.index} != {*other.train.index}
    for wrong in (-1, 1.5, 1318):
        with pytest.raises(UsageError, match=r"unlabelled=.* must be a whole number in 0\.\.1317"):
            data.load("digits", labels_per_class=3, unlabelled=wrong)


@pytest.fixture
def folder(tmp_path):
    for place in ("train/a", "train/b", "test/a", "unlabelled"):
        (tmp_path / place).mkdir(parents=True)
        for i in range(4):
            Image.new("L", (4, 4), 10 * i).save(tmp_path / place / f"{i}.png")
    return tmp_path


def test_folder(folder):
    found = data.load("folder", path=str(folder), validation_size=2)
    assert found.train.label.tolist() == [*sorted(found.train.label[:6].tolist()), -1, -1, -1, -1]
    assert (found.validation.label >= 0).all()
    assert [found.files[i] for i in found.train.index[-4:]] == [f"unlabelled/{i}.png" for i in range(4)]


def test_beside_classes_that_lie_flat(folder):
    """It is no class, and its images are rows once."""
    for name in ("a", "b"):
        (folder / "train" / name).rename(folder / name)
    for place in ("train", "test/a", "test"):
        for file in (folder / place).glob("*.png"):
            file.unlink()
        (folder / place).rmdir()
    found = data.load("folder", path=str(folder), flat=True, validation_size=2)
    assert found.class_names == ("a", "b")
    assert sorted(found.train.label.tolist()) == [-1] * 4 + [0] * 3 + [1] * 3


def test_other_labels(folder, tmp_path):
    """A row without a label that the file does not name stays without; others get their label, or are dropped."""
    table = tmp_path / "labels.csv"
    table.write_text("file,label\ntrain/a/0.png,b\nunlabelled/1.png,a\nunlabelled/2.png,\n")
    found = data.load("folder", path=str(folder), labels=str(table)).train
    assert found.label.tolist() == [1, 0, 0, 0, 1, 1, 1, 1, -1, 0, -1]
    array = np.array([0] * 8 + [-1, 1, -1, -1])
    np.save(tmp_path / "labels.npy", array)
    found = data.load("folder", path=str(folder), labels=str(tmp_path / "labels.npy")).train
    assert found.label.tolist() == array.tolist()


def test_folders_that_cannot_be(folder):
    (folder / "unlabelled" / "a").mkdir()
    with pytest.raises(
        UsageError, match="unlabelled is for images without a label, but has the folders a: move images"
    ):
        data.load("folder", path=str(folder))
    (folder / "unlabelled" / "a").rmdir()
    for image in (folder / "unlabelled").iterdir():
        image.unlink()
    with pytest.raises(UsageError, match=r"unlabelled has no images \(.png"):
        data.load("folder", path=str(folder))


def test_npz(tmp_path):
    image = np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4)
    arrays = {"train_image": image, "train_label": np.array([0, 1, 0, 1, -1, -1]), "test_image": image[:2]}
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays, test_label=np.arange(2), unlabelled_image=image[:3])
    found = data.load("npz", path=str(path), validation_size=2)
    assert found.train.label.tolist() == [0, 1, -1, -1, -1, -1, -1]
    assert found.validation.label.tolist() in ([0, 1], [1, 0])
    assert (found.train.image[-3:, ..., 0] == image[:3]).all()
    np.savez(path, **arrays, test_label=np.arange(2), unlabelled_image=image[:3], train_clean_label=[0, 1, 1, 1, 0, -1])
    assert data.load("npz", path=str(path)).clean_label.tolist() == [0, 1, 1, 1, 0, -1, -1, -1, -1]
    np.savez(path, **arrays, test_label=np.arange(2), unlabelled_image=image[:3])
    with pytest.raises(UsageError, match="imbalance and noise are of labels, which some of its training rows have not"):
        data.load("npz", path=str(path), noise=0.5)
    np.savez(path, **arrays, test_label=np.arange(2), unlabelled_image=image[:, :3])
    with pytest.raises(UsageError, match=r"unlabelled_image of .* must be alike"):
        data.load("npz", path=str(path))


def test_stream_rows():
    """Passes go on one after the other, also in batches larger than a pass; from any batch on."""
    batches = stream_rows(5, 7, 3, 0, HostStream.LABELLED_ROWS)
    rows = np.concatenate([next(batches) for _ in range(5)])
    assert all(sorted(part) == list(range(5)) for part in rows.reshape(7, 5).tolist())
    assert (next(stream_rows(5, 7, 3, 3, HostStream.LABELLED_ROWS)) == rows[21:28]).all()
    assert (next(stream_rows(5, 7, 3, 0, HostStream.UNLABELLED_ROWS)) != rows[:7]).any()
