"""Cityscapes' layout: which files are rows, what their numbers become, what is told of files that are wrong."""

import numpy as np
import pytest
from helpers.road_scenes import IDS, scene, write_cityscapes
from PIL import Image

from jaxaug import data
from jaxaug.core.errors import UsageError
from jaxaug.data.dataset import class_counts_of
from jaxaug.data.sources.cityscapes import CLASS_NAMES


@pytest.fixture
def root(tmp_path):
    write_cityscapes(tmp_path / "tree", train=4, val=2)
    return tmp_path / "tree"


def load(root, **options):
    return data.load("cityscapes", path=str(root), directory=str(root.parent / "kept"), **options)


def test_rows_by_city_and_the_nineteen_classes(root):
    found = load(root)
    assert (found.num_classes, len(found.train), len(found.validation), len(found.test)) == (19, 4, 0, 2)
    assert found.files[:3] == (
        "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
        "leftImg8bit/train/aachen/aachen_000002_000019_leftImg8bit.png",
        "leftImg8bit/train/bonn/bonn_000001_000019_leftImg8bit.png",
    )
    image, label = scene(5002)
    np.testing.assert_array_equal(found.train.image[1], image)
    expected = np.full(label.shape, -1)
    for name in set(IDS) - {"void"}:
        expected[label == IDS[name]] = CLASS_NAMES.index(name)
    np.testing.assert_array_equal(found.train.label[1], expected)
    assert {CLASS_NAMES[k] for k in np.flatnonzero(class_counts_of(found))} == {"sky", "road", "car", "person"}


def test_the_published_table_of_ids(root):
    """All 34 ids, the 15 that are not evaluated void, and 255."""
    path = root / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    label = np.full((24, 48), 255, np.uint8)
    label[0, :34] = range(34)
    Image.fromarray(label).save(path)
    found = load(root).train.label[0]
    void = {0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30}
    assert set(np.flatnonzero(found[0, :34] < 0)) == void
    np.testing.assert_array_equal(found[0, :34][found[0, :34] >= 0], range(19))
    assert (found[1:] == -1).all()


def test_train_ids_and_test_rows_of_ones_own(tmp_path):
    root = tmp_path / "tree"
    written = write_cityscapes(root, ending="_gtFine_labelTrainIds", train=2, val=2, test=1)
    for path in (path for paths in written.values() for path in paths):
        Image.fromarray(np.full((24, 48), 18, np.uint8)).save(path)
    found = load(root, test="test")
    assert [len(split) for split in found.splits().values()] == [2, 2, 1]
    assert (found.test.label[:] == 18).all()
    write_cityscapes(root, val=2)
    with pytest.raises(UsageError, match=r"some splits of .* have label ids, others train ids"):
        load(root)


def test_lazy_cached_and_held_are_the_same(root):
    rows = np.array([3, 0, 3])
    lazy = load(root, validation_size=1)
    for options in ({"lazy": False}, {"lazy": False, "cache": True}):
        held = load(root, validation_size=1, **options)
        for name, split in held.splits().items():
            other = lazy.splits()[name]
            np.testing.assert_array_equal(split.index, other.index)
            np.testing.assert_array_equal(split.label, other.label[:])
            np.testing.assert_array_equal(split.image, other.image[:])
            assert split.label.dtype == other.label.dtype == np.int8
        np.testing.assert_array_equal(class_counts_of(held), class_counts_of(lazy))
    np.testing.assert_array_equal(load(root).train.at(rows).label[:], load(root, lazy=False).train.label[rows])


def test_files_are_checked_once(root, monkeypatch):
    """What was found is kept for files whose names, sizes and times stay; a touched one is read again."""
    load(root)
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda path, *args: opened.append(path) or real(path, *args))
    load(root)
    assert len(opened) == 1  # the first one, for its size
    label = root / "gtFine/val/bonn/bonn_000001_000019_gtFine_labelIds.png"
    Image.fromarray(np.full((24, 48), 77, np.uint8)).save(label)
    with pytest.raises(UsageError, match=r"bonn_000001_000019_gtFine_labelIds\.png has the numbers 77"):
        load(root)


def image_of(label):
    return (
        label.parents[3]
        / "leftImg8bit"
        / label.parent.relative_to(label.parents[2])
        / label.name.replace("gtFine_labelIds", "leftImg8bit")
    )


def truncate(path):
    path.write_bytes(path.read_bytes()[:60])


FAULTS = {
    "truncated label": (truncate, r"the label map .*000019_gtFine_labelIds.png cannot be read"),
    "truncated image": (lambda p: truncate(image_of(p)), r"bonn_000001_000019_leftImg8bit.png cannot be read as an im"),
    "mis-sized": (
        lambda p: Image.fromarray(np.zeros((24, 40), np.uint8)).save(p),
        r"labelIds.png has 40 x 24 pixels, its image 48 x 24",
    ),
    "mis-numbered": (
        lambda p: Image.fromarray(np.full((24, 48), 34, np.uint8)).save(p),
        r"labelIds.png has the numbers 34, which are neither",
    ),
    "color": (
        lambda p: Image.fromarray(np.zeros((24, 48, 3), np.uint8)).save(p),
        r"labelIds.png is in color \(RGB\)",
    ),
    "missing label": (lambda p: p.unlink(), r"1 of 4 images of train have no label map, such as .*000001_000019_gtF"),
    "other size": (
        lambda p: [Image.fromarray(np.zeros((20, 48), np.uint8)).save(one) for one in (p, image_of(p))],
        r"leftImg8bit.png has 48 x 20 pixels, 48 x 24 are asked for by the first image: set size",
    ),
}


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_the_file(root, fault, lazy):
    damage, message = FAULTS[fault]
    damage(root / "gtFine/train/bonn/bonn_000001_000019_gtFine_labelIds.png")
    with pytest.raises(UsageError, match=message):
        load(root, lazy=lazy)


def test_options(root):
    for options, message in (
        ({"path": "/nowhere"}, r"there is no folder leftImg8bit/train in /nowhere: set path"),
        ({"test": "test"}, r"there is no folder .*leftImg8bit/test"),
        ({"test": "vall"}, "did you mean 'val'"),
        ({"cache": True}, "set cache, .* or lazy, .* but not both"),
        ({"imbalance": 2.0}, "imbalance and noise are of one label for each image"),
        ({"noise": 0.5}, "imbalance and noise are of one label for each image"),
    ):
        with pytest.raises(UsageError, match=message):
            data.load("cityscapes", **{"path": str(root), "directory": str(root.parent / "kept"), **options})
