"""ImageNet's layout: splits, classes, labels and what is told; nothing is decoded."""

import numpy as np
import pytest
from helpers.photographs import pack, write_photographs

from jaxaug.core.errors import UsageError
from jaxaug.data import load
from jaxaug.data.contents import image_digests, row_arrays

CLASSES = [f"n{i:02}" for i in range(11)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagenet")
    write_photographs(folder / "train", CLASSES, 3)
    write_photographs(folder / "val", CLASSES[:4], 1, first=50)
    write_photographs(folder / "v2", ["0", "2", "10"], 1, first=60)
    return folder


def test_splits(root):
    data = load("imagenet", path=str(root), size=24)
    assert (data.num_classes, data.class_names[10], data.image_shape) == (11, "n10", (24, 24, 3))
    assert (len(data.train), len(data.validation), len(data.test)) == (33, 0, 4)
    np.testing.assert_array_equal(data.train.label, np.repeat(np.arange(11), 3))
    assert data.files[4] == "train/n01/1.JPEG"
    assert data.mean == (0.485, 0.456, 0.406)
    assert data.train.image.source.cut.resize == 27
    cut = load("imagenet", path=str(root), size=24, validation_size=11, train_size=11)
    np.testing.assert_array_equal(cut.validation.label, np.arange(11))
    np.testing.assert_array_equal(cut.train.label, np.arange(11))
    np.testing.assert_array_equal(cut.train.image.rows, cut.train.index)
    both = load("imagenet", path=str(root), size=24, validation_size=11, rows="both")
    np.testing.assert_array_equal(both.train.image.rows, np.arange(33))


def test_classes_by_number(root):
    """As ImageNet-V2 has them: 10 comes after 2."""
    data = load("imagenet", path=str(root), size=24, test=str(root / "v2"))
    assert sorted(zip(data.test.label, data.test.image.source.files.names, strict=True)) == [
        (0, "v2/0/0.JPEG"),
        (2, "v2/2/0.JPEG"),
        (10, "v2/10/0.JPEG"),
    ]


def test_an_archive_is_the_same_set(root, tmp_path):
    pack(root / "train", tmp_path / "train.tar")
    pack(root / "val", tmp_path / "val.tar")
    one, other = (load("imagenet", path=str(path), size=24) for path in (root, tmp_path))
    np.testing.assert_array_equal(one.train.image[[0, 5, 32]], other.train.image[[0, 5, 32]])
    np.testing.assert_array_equal(one.test.label, other.test.label)
    assert other.files[4] == "train.tar/n01/1.JPEG"


def test_what_a_run_remembers(root):
    data = load("imagenet", path=str(root), size=24)
    assert set(image_digests(data)) == {"train_image", "validation_image", "test_image"}
    assert row_arrays(data)["files"][4] == b"train/n01/1.JPEG"


def test_refusals(root, tmp_path):
    with pytest.raises(UsageError, match="there is no folder train in"):
        load("imagenet", path=str(tmp_path))
    with pytest.raises(UsageError, match="does not exist"):
        load("imagenet", path=str(root), test=str(tmp_path / "none"))
    write_photographs(tmp_path / "train", CLASSES[:2], 1)
    with pytest.raises(UsageError, match="neither test nor validation rows"):
        load("imagenet", path=str(tmp_path))
    write_photographs(tmp_path / "val", ["cat", "dog"], 1)
    with pytest.raises(UsageError, match="has the classes cat, dog, which train has not"):
        load("imagenet", path=str(tmp_path))
    with pytest.raises(UsageError, match="size=64 must be at least 1, and resize=60"):
        load("imagenet", path=str(root), size=64, resize=60)
