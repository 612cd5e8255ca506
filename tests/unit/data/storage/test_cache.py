"""The decoded copies that are kept beside the archives, and where data is looked for."""

import numpy as np
import pytest
from helpers import damage
from helpers.published_data import assert_rows, load, no_outside, register, write_archives  # noqa: F401

from jaxaug.data.storage import cache
from jaxaug.data.storage.paths import find_places


@pytest.mark.fault("decoded images kept for the next run, {how}", "they are decoded anew, with a warning")
@pytest.mark.parametrize("how", damage.WAYS)
def test_damaged_cache_is_made_anew(tmp_path, monkeypatch, how, caplog):
    train, test = write_archives("mnist", tmp_path / "mnist")
    register(monkeypatch, "mnist", tmp_path / "mnist")
    load("mnist", tmp_path)
    path = next((tmp_path / "mnist").glob("decoded-*/train_image.npy"))
    damage.WAYS[how](path)
    assert_rows(load("mnist", tmp_path), train, test)
    assert "ignored a damaged cache" in caplog.text
    assert path.stat().st_size > train[0].size
    assert not list((tmp_path / "mnist").glob("partial-*"))


def test_folder_that_cannot_be_written_is_no_error(tmp_path, caplog):
    (tmp_path / "file").touch()
    arrays = {"train_label": np.arange(3)}
    assert cache.save(tmp_path / "file", "0" * 64, arrays) is arrays
    assert "not cached" in caplog.text


def test_second_writer_of_a_cache_changes_nothing(tmp_path):
    arrays = {"train_image": np.ones((2, 4, 4, 1), np.uint8), "train_label": np.arange(2)}
    cache.save(tmp_path, "0" * 64, arrays)
    again = cache.save(tmp_path, "0" * 64, arrays)
    np.testing.assert_array_equal(again["train_label"], arrays["train_label"])
    assert [path.name for path in tmp_path.iterdir()] == ["decoded-" + "0" * 16]


def test_full_disk_is_no_error(tmp_path, monkeypatch, caplog):
    def full(*arguments, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", full)
    arrays = {"train_label": np.arange(3)}
    assert cache.save(tmp_path, "0" * 64, arrays) is arrays
    assert "No space left" in caplog.text
    assert not list(tmp_path.iterdir())


def test_places(monkeypatch, tmp_path):
    home = tmp_path / "home"
    places = find_places()
    assert (places.archives, places.prepared) == (home / ".cache/jaxaug/data", home / "tensorflow_datasets")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    assert find_places().prepared == tmp_path / "tfds"
    monkeypatch.setenv("JAXAUG_DATA_DIR", str(tmp_path / "all"))
    assert find_places().archives == find_places().prepared == tmp_path / "all"
    assert find_places("~/mine").archives == home / "mine"
