"""Photographs in array_record: the same set as in folders, rows, labels, pixels and cuts."""

import shutil

import numpy as np
import pytest
from helpers.photographs import photograph
from helpers.record_sets import write_records

from jaxaug.core.errors import UsageError
from jaxaug.data import load
from jaxaug.data.contents import image_digests

SPLITS = {"train": range(24), "validation": range(40, 49)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """<data_dir>/imagenet2012/5.1.0, three classes."""
    return write_records(tmp_path_factory.mktemp("prepared"), SPLITS, classes=3)


@pytest.fixture(scope="module")
def in_folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    for split, folder in (("train", "train"), ("validation", "val")):
        for number in SPLITS[split]:
            path = root / folder / f"n{number % 3}" / f"n{number % 3}_{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            photograph(number).save(path, quality=95)
    return root


def test_it_is_the_set_of_the_folders(prepared, in_folders, tmp_path):
    one = load("imagenet", path=str(prepared), size=24, directory=str(tmp_path))
    other = load("imagenet", path=str(in_folders), size=24, directory=str(tmp_path))
    assert (one.class_names, one.num_classes) == (other.class_names, 3)
    for split in ("train", "test"):
        ours, theirs = one.splits()[split], other.splits()[split]
        np.testing.assert_array_equal(ours.label, theirs.label)
        np.testing.assert_array_equal(ours.image[:], theirs.image[:])
    rows, numbers = np.array([7, 0, 23]), np.array([4, 4, 4])
    cuts = [data.train.image.read(rows, 3, numbers)[0] for data in (one, other)]
    np.testing.assert_array_equal(*cuts)
    assert one.files[:2] == ("train/n0_0.JPEG", "train/n0_12.JPEG")


def test_found_by_its_name_and_labels_are_kept(prepared, tmp_path, monkeypatch):
    """In the folder of data sets; what is known of it is not read twice."""
    shutil.copytree(prepared.parent, tmp_path / "imagenet2012")
    first = load("imagenet", size=24, directory=str(tmp_path))
    monkeypatch.setattr("jaxaug.data.storage.record_table._facts", None)
    again = load("imagenet", size=24, directory=str(tmp_path), validation_size=6)
    assert (len(first.train), len(again.train), len(again.test)) == (24, 18, 9)
    assert image_digests(first)["train_image"] != image_digests(again)["train_image"]
    by_version = load("imagenet", size=24, path=str(tmp_path / "imagenet2012" / "5.1.0"), directory=str(tmp_path))
    assert image_digests(by_version) == image_digests(first)


def test_other_test_photographs(prepared, in_folders, tmp_path):
    data = load("imagenet", path=str(prepared), test=str(in_folders / "val"), size=24, directory=str(tmp_path))
    np.testing.assert_array_equal(data.test.label, np.repeat([0, 1, 2], 3))
    with pytest.raises(UsageError, match=r"imagenet: test=.*nowhere does not exist"):
        load("imagenet", path=str(prepared), test=str(tmp_path / "nowhere"), directory=str(tmp_path))


def test_what_is_no_such_set(prepared, tmp_path):
    broken = tmp_path / "imagenet2012" / "5.1.0"
    shutil.copytree(prepared, broken)
    (broken / "features.json").write_text("{}")
    with pytest.raises(UsageError, match=r"5\.1\.0 cannot be read by tensorflow-datasets"):
        load("imagenet", path=str(broken), directory=str(tmp_path))
