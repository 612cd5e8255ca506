"""What a data set holds: every row's label and number, a digest of the images, the file of large mapped ones."""

import dataclasses

import numpy as np
from helpers.corrupted_data import blank, load_digits

from jaxaug.data import contents
from jaxaug.data.contents import image_digests, row_arrays
from jaxaug.data.corruption import corrupt


def test_rows_of_every_split():
    data = corrupt(load_digits(), noise=0.2)
    found = row_arrays(data, pool=data.test)
    assert {*found} == {f"{s}_{w}" for s in ("train", "validation", "test", "pool") for w in ("index", "label")} | {
        "clean_label"
    }
    np.testing.assert_array_equal(found["train_label"], data.train.label)
    np.testing.assert_array_equal(found["pool_index"], data.test.index)
    named = dataclasses.replace(blank(np.zeros(3, np.int32), 1), files=("é/a.png", "b.png", "c.png"))
    assert row_arrays(named)["files"][0].decode() == "é/a.png"


def test_images_by_content():
    data = load_digits()
    before = image_digests(data)
    assert before == image_digests(load_digits())
    image = data.train.image.copy()
    image[5, 0, 0, 0] ^= 1
    after = image_digests(dataclasses.replace(data, train=dataclasses.replace(data.train, image=image)))
    assert [name for name in before if before[name] != after[name]] == ["train_image"]


def test_large_mapped_images_by_their_file(tmp_path, monkeypatch):
    """That of the cache is named for the files they were decoded from, wherever it lies; others by size and time."""
    monkeypatch.setattr(contents, "READ_UP_TO", 0)
    image = np.zeros((3, 2, 2, 1), np.uint8)

    def digest_in(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "train_image.npy").exists():
            np.save(folder / "train_image.npy", image)
        return contents._digest(np.load(folder / "train_image.npy", mmap_mode="r")[:])

    one = digest_in(tmp_path / "a" / "decoded-0123")
    assert one == digest_in(tmp_path / "b" / "decoded-0123") == "decoded-0123/train_image.npy"
    assert one != digest_in(tmp_path / "a" / "decoded-4567")
    own = digest_in(tmp_path / "own")
    assert own == digest_in(tmp_path / "own")
    np.save(tmp_path / "own" / "train_image.npy", image[:2])
    assert own != digest_in(tmp_path / "own")
