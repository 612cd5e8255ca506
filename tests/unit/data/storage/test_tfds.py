"""Sets that tensorflow-datasets has prepared: read in published order, refused if unreadable."""

import sys

import numpy as np
import pytest
from helpers import dataset_copies as copies
from helpers.published_data import COLOR, assert_rows, load, no_outside, rows_of  # noqa: F401

from jaxaug.core.errors import UsageError
from jaxaug.data.storage import tfds as prepared_sets


@pytest.mark.parametrize("with_id", [True, False])
def test_tfds_copy_is_read_in_published_order(with_id, tmp_path, monkeypatch):
    name = "cifar10" if with_id else "mnist"
    train, test = rows_of(name)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    made = copies.write_tfds(tmp_path / "prepared", name, {"train": train, "test": test}, with_id)
    assert_rows(load(name), train, test)
    assert "tensorflow" not in sys.modules
    monkeypatch.setattr(prepared_sets, "read", None)
    assert_rows(load(name), train, test)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="has no split extra"):
        prepared_sets.read(made, ("train", "extra"))
    (made / "features.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read by tensorflow-datasets"):
        prepared_sets.read(made, ("train",))


def test_tfds_copy_of_svhn_with_extra(tmp_path):
    (train, test), extra = rows_of("svhn"), copies.rows(50, COLOR, 10, 3)
    copies.write_tfds(tmp_path, "svhn_cropped", {"train": train, "test": test, "extra": extra}, with_id=True)
    assert_rows(load("svhn", tmp_path), train, test)
    for _ in range(2):
        both = load("svhn", tmp_path, extra=True)
        assert_rows(both, [np.concatenate(pair) for pair in zip(train, extra, strict=True)], test)


def test_tfrecord_copy_says_how_to_prepare_anew(tmp_path):
    version = tmp_path / "cifar10" / "3.0.2"
    version.mkdir(parents=True)
    (version / "dataset_info.json").write_text("{}")
    (version / "cifar10-train.tfrecord-00000-of-00001").touch()
    with pytest.raises(UsageError, match=r"3\.0\.2 is not in array_record format(.|\n)*--overwrite"):
        load("cifar10", tmp_path)


def test_newest_readable_version_is_taken(tmp_path):
    for version in ("3.0.2", "3.0.10", "4.0.0", "incomplete.1.2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "dataset_info.json").touch()
        (tmp_path / version / f"x.{'tfrecord' if version == '4.0.0' else 'array_record'}-0").touch()
    assert prepared_sets.find(tmp_path) == (tmp_path / "3.0.10", [tmp_path / "4.0.0"])
