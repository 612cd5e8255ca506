"""The list of probably wrong labels: its rows and columns, its sheet of pictures, what it makes of known noise."""

import csv

import numpy as np
import pytest
from conftest import tiny_config
from PIL import Image
from prepared import small
from test_configs import module_of

from jaxaug import loop, suspects
from jaxaug.data import digits

SEARCH = {"name": "autodo", "start": 1, "batch_size": 8, "validation_batch_size": 8}
CHAIN = ("targets.learned_targets", "weights.learned_weights")


def draw_set(root, side=8):
    """Dark rows "night" and bright rows "day", 12 each to train on, with one bright row among the dark ones."""
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("validation", 6)):
        for name, level in (("day", 200), ("night", 40)):
            for i in range(count):
                bright = 200 if (split, name, i) == ("train", "night", 3) else level
                pixels = random.integers(bright - 30, bright + 30, (side, side, 3), dtype=np.uint8)
                path = root / split / name / f"{i:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


def table_of(path):
    with (path / suspects.TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def size_of(path):
    with Image.open(path / suspects.SHEET) as sheet:
        return sheet.size


def data_of(label, names, shape=(8, 8, 1), **known):
    image = np.arange(len(label) * np.prod(shape)).reshape(len(label), *shape).astype(np.uint8)
    rows = image, np.asarray(label)
    return small(rows, rows, num_classes=len(names), class_names=names, **known)


def found_of(given, says, says_given, **more):
    arrays = {"given": given, "says": says, **more}
    found = {name: np.asarray(array, np.int32) for name, array in arrays.items()}
    shares = np.asarray(says_given, np.float32)
    return {"index": np.arange(len(given), dtype=np.int32), "says_given": shares, "says_share": shares, **found}


def test_a_folder_end_to_end(tmp_path):
    """The one wrong file of 24 is the first; every row is there once, with its file and the names of its classes."""
    draw_set(tmp_path / "photos")
    config = tiny_config(batch_size=8, epochs=6, eval_every=6, search=SEARCH, suspects=5, loss={"chain": CHAIN})
    config.update({"data": {"name": "folder", "path": str(tmp_path / "photos")}, "augment": {"train": ()}})
    config.model.kw.widths = (4,)
    result = loop.run(config, tmp_path / "run")
    assert not [name for name in result if name.startswith("suspects")], "no true labels are known"
    table = table_of(tmp_path / "run")
    assert [int(row["rank"]) for row in table] == list(range(1, 25))
    assert sorted(int(row["index"]) for row in table) == list(range(24))
    assert table[0]["file"] == "train/night/03.png"
    assert (table[0]["given_name"], table[0]["suggested_name"]) == ("night", "day")
    doubt = [float(row["distrust"]) for row in table]
    assert doubt == sorted(doubt, reverse=True)
    for row in table:
        assert row["given_name"] == row["file"].split("/")[1] == ("day", "night")[int(row["given"])]
        assert 0 < float(row["weight"])
        assert 0 <= float(row["soft_given"]) <= float(row["soft_share"]) <= 1
        assert 0 <= float(row["model_given"]) <= float(row["model_share"]) <= 1
        assert "clean" not in row
    assert size_of(tmp_path / "run")[0] == round(8 * suspects.CELL * suspects.DOTS)
