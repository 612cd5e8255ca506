"""Folders of images with label maps: what is read, and what is told of files that are wrong."""

import numpy as np
import pytest
from PIL import Image

from jaxaug import data
from jaxaug.core.errors import UsageError
from jaxaug.data.contents import image_digests, row_arrays
from jaxaug.data.dataset import class_counts_of

MAP = np.arange(24, dtype=np.uint8).reshape(4, 6) % 4  # three classes, and 3 for void
CLASSES = np.where(MAP == 3, -1, MAP.astype(int))


def write(root, split, name, label, size=None, palette=False):
    """A gray picture of the label map's size, and the map."""
    for kind in ("images", "labels"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    shape = label.shape if size is None else size
    Image.fromarray(np.full((*shape, 3), 100, np.uint8)).save(root / "images" / split / f"{name}.png")
    image = Image.fromarray(label)
    if palette:
        image.putpalette(list(range(256)) * 3)
    image.save(root / "labels" / split / f"{name}.png")


@pytest.fixture
def root(tmp_path):
    for split in ("train", "test"):
        for name in ("a", "b"):
            write(tmp_path, split, name, MAP, palette=name == "b")
    return tmp_path


def load(root, **options):
    return data.load("label_maps", path=str(root), num_classes=3, void=(3,), **options)


def test_reads_gray_and_palette_alike(root):
    found = load(root)
    assert found.train.label.dtype == np.int8
    np.testing.assert_array_equal(found.train.label, [CLASSES, CLASSES])
    assert found.train.image.shape == (2, 4, 6, 3)
    assert found.files == ("images/train/a.png", "images/train/b.png")
    np.testing.assert_array_equal(class_counts_of(found), [12, 12, 12])
    assert "train_label" in image_digests(found)
    assert "train_label" not in row_arrays(found)


def test_size_is_nearest_for_labels_and_padding_is_void(root):
    smaller = load(root, size=(2, 3)).test.label[0]
    np.testing.assert_array_equal(smaller, np.where(MAP == 3, -1, MAP.astype(int))[::2, ::2])
    padded = load(root, size=(5, 8), fit="pad")
    assert (padded.test.label[:, 4:] == -1).all()
    assert (padded.test.label[:, :, 6:] == -1).all()
    np.testing.assert_array_equal(padded.test.label[0, :4, :6], np.where(MAP == 3, -1, MAP.astype(int)))
    assert (padded.test.image[:, 4:] == 0).all()


def test_cached_and_cut(root, tmp_path):
    for _ in range(2):
        found = load(root, cache=True, directory=str(tmp_path / "kept"))
        np.testing.assert_array_equal(found.train.label, load(root).train.label)
    cut = load(root, validation_size=1)
    assert [len(split) for split in cut.splits().values()] == [1, 1, 2]


def test_lazy_ones_are_checked_too(root):
    """Classes counted on the training maps are all that others may have."""
    write(root, "test", "c", np.full_like(MAP, 5))
    for lazy in (False, True):
        with pytest.raises(UsageError, match=r"the label map of row 2 of test has the number 5; with 4 classes"):
            data.load("label_maps", path=str(root), lazy=lazy)


@pytest.mark.parametrize("options", [{}, {"size": (5, 8), "fit": "pad"}, {"num_classes": 0, "validation_size": 1}])
def test_lazy_ones_are_those_in_memory(root, tmp_path, options):
    """Statistics and the number of classes too."""
    options = {"path": str(root), "num_classes": 3, "void": (3,), **options}
    held, lazy = (data.load("label_maps", lazy=lazy, directory=str(tmp_path), **options) for lazy in (False, True))
    assert (held.num_classes, held.mean, held.std) == (lazy.num_classes, lazy.mean, lazy.std)
    assert held.num_classes == 3
    for name, split in held.splits().items():
        np.testing.assert_array_equal(split.label, lazy.splits()[name].label[:])
        np.testing.assert_array_equal(split.image, lazy.splits()[name].image[:])


def truncate(root):
    path = root / "labels" / "train" / "b.png"
    path.write_bytes(path.read_bytes()[:40])


def color(root):
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(root / "labels" / "train" / "b.png")


FAULTS = {
    "truncated": (truncate, r"the label map .*train/b.png cannot be read: .*; repair or remove it"),
    "color": (color, r"the label map .*train/b.png is in color \(RGB\): save the numbers"),
    "mis-sized": (lambda r: write(r, "train", "b", MAP, size=(4, 5)), r"labels/train/b.png has 6 x 4 .* image 5 x 4"),
    "mis-numbered": (
        lambda r: write(r, "test", "a", MAP + 5),
        r"test/a.png has the numbers 5, 6, 7, 8, which are neither",
    ),
    "other size": (lambda r: write(r, "train", "b", MAP[:3]), r"train/b.png has 6 x 3 pixels, 6 x 4 .*: set size"),
    "missing": (lambda r: (r / "labels/test/b.png").unlink(), r"no label map for 1 of 2 images, such as b.png"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_the_file(root, fault):
    damage, message = FAULTS[fault]
    damage(root)
    with pytest.raises(UsageError, match=message):
        load(root)


def test_options(root):
    for options, message in (
        ({"path": ""}, "set path to a folder with images/train"),
        ({"path": str(root), "size": (3,)}, "size must be rows and columns"),
        ({"path": str(root), "num_classes": 3, "class_names": ("a",)}, "3 classes need as many class_names"),
    ):
        with pytest.raises(UsageError, match=message):
            data.load("label_maps", **options)


def test_npz_with_label_maps(tmp_path):
    image, label = np.zeros((2, 4, 6, 3), np.uint8), np.stack([MAP, MAP])
    np.savez(tmp_path / "maps.npz", train_image=image, train_label=label, test_image=image, test_label=label)
    found = data.load("npz", path=str(tmp_path / "maps.npz"), void=3)
    assert found.num_classes == 3
    np.testing.assert_array_equal(found.test.label[0], np.where(MAP == 3, -1, MAP.astype(int)))
    np.savez(tmp_path / "bad.npz", train_image=image, train_label=label[:, :3], test_image=image, test_label=label)
    with pytest.raises(UsageError, match="label maps of train have shape"):
        data.load("npz", path=str(tmp_path / "bad.npz"), void=3)
