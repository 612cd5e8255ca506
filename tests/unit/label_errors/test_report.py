"""The list of probably wrong labels: its rows and columns, its sheet of pictures, what it makes of known noise."""

import csv

import numpy as np
import pytest
from helpers.published_data import small
from PIL import Image
from test_configs import module_of

from jaxaug.label_errors.report import CAPTION, CELL, DOTS, MARGIN, SHEET, TABLE, _caption, write_report
from jaxaug.label_errors.scores import precision
from jaxaug.train import trainer

NAMES = ("ape", "bat", "cat")


def draw_set(root):
    """Bright images are "day", dark ones "night", 12 each to train on, one of "night" is bright; 6 each are trusted."""
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("validation", 6)):
        for name, level in (("day", 200), ("night", 40)):
            for i in range(count):
                level_of_it = 200 if (split, name, i) == ("train", "night", 3) else level
                pixels = random.integers(level_of_it - 30, level_of_it + 30, (8, 8, 3), dtype=np.uint8)
                path = root / split / name / f"{i:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


def table_of(folder):
    with (folder / TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def size_of(folder):
    """Of the sheet, in inches."""
    with Image.open(folder / SHEET) as sheet:
        return sheet.width / DOTS, sheet.height / DOTS


def data_of(given, shape=(8, 8, 1), names=NAMES, **known):
    image = (np.arange(len(given) * np.prod(shape)) % 256).reshape(len(given), *shape).astype(np.uint8)
    rows = image, np.asarray(given)
    return small(rows, rows, num_classes=len(names), class_names=names, **known)


def found_of(given, says, says_given, **more):
    integers = {"index": range(len(given)), "given": given, "says": says, **more}
    share = np.asarray(says_given, np.float32)
    return {name: np.asarray(array, np.int32) for name, array in integers.items()} | {
        "says_given": share,
        "says_share": np.maximum(share, 1 - share),
    }


def test_a_folder_end_to_end(tmp_path):
    """Of 24 files the wrong one is the first; every row is there once, with its file and the names of its classes."""
    draw_set(tmp_path / "photos")
    config = module_of("find_label_errors").get_config("folder")
    config.update({"batch_size": 8, "epochs": 8, "eval_every": 8, "suspects": 5})
    config.search.update(batch_size=8, validation_batch_size=8)
    config.search.conjugate_gradient.steps = 2
    config.data.update(path=str(tmp_path / "photos"), size=8)
    config.model.kw.widths = (4,)
    result = trainer.train_and_evaluate(config, tmp_path / "run")
    assert not [name for name in result if name.startswith("suspects")], "no true labels are known"
    table = table_of(tmp_path / "run")
    assert [int(row["rank"]) for row in table] == list(range(1, 25))
    assert sorted(int(row["index"]) for row in table) == list(range(24))
    first = table[0]
    assert (first["file"], first["given_name"], first["suggested_name"]) == ("train/night/03.png", "night", "day")
    doubt = [float(row["distrust"]) for row in table]
    assert doubt == sorted(doubt, reverse=True)
    for row in table:
        assert row["given_name"] == row["file"].split("/")[1] == ("day", "night")[int(row["given"])]
        assert float(row["weight"]) > 0
        assert 0 <= float(row["soft_given"]) <= float(row["soft_share"]) <= 1
        assert 0 <= float(row["model_given"]) <= float(row["model_share"]) <= 1
        assert "clean" not in row
    height = CELL + CAPTION
    np.testing.assert_allclose(size_of(tmp_path / "run"), (8 * CELL, height), atol=0.01)


def test_order_and_columns(tmp_path):
    """The least probable label first, equal ones in the order of the rows; true labels and what was found of them."""
    given, clean = [0, 1, 2, 0], [0, 2, 2, 1]
    data = data_of(given, clean_label=np.array(clean))
    found = found_of(given, [0, 2, 2, 1], [0.9, 0.0, 0.9, 0.25], clean=clean)
    figures = write_report(tmp_path, found, data, 3)
    table = table_of(tmp_path)
    assert list(table[0]) == [
        *("rank", "index", "given", "given_name", "suggested", "suggested_name", "distrust"),
        *("model_given", "model_share", "clean", "clean_name"),
    ]
    assert [row["index"] for row in table] == ["1", "3", "0", "2"]
    assert table[0]["given_name"] == "bat"
    assert table[0]["suggested_name"] == table[0]["clean_name"] == "cat"
    assert float(table[1]["distrust"]) == pytest.approx(np.log(4), rel=1e-5)
    assert figures == {"suspects_precision": pytest.approx(2 / 3), "suspects_recall": 1.0}
    assert precision(np.arange(4), found_of(given, given, [1.0] * 4, clean=given), 2) == {}, "none is wrong"


@pytest.mark.parametrize(
    ("shape", "rows", "count", "columns", "down", "height"),
    [
        ((8, 8, 1), 20, 64, 8, 3, 1.4),
        ((224, 224, 3), 9, 9, 8, 2, 1.4),
        ((30, 10, 3), 3, 1, 8, 1, 2.8),
        ((6, 12, 4), 81, 81, 9, 9, 0.7),
    ],
)
def test_sheet(tmp_path, shape, rows, count, columns, down, height):
    """Grey or not, small or large, high or wide, fewer rows than asked for."""
    given = np.arange(rows) % 3
    write_report(tmp_path, found_of(given, given, np.full(rows, 0.5)), data_of(given, shape), count)
    high = down * (height + CAPTION + MARGIN)
    np.testing.assert_allclose(size_of(tmp_path), (columns * CELL, high), atol=0.02)


def test_pictures_are_the_rows(tmp_path):
    """Each picture is where its rank says: the brightest image of all is the second."""
    data = data_of([0, 1, 2])
    data.train.image[:] = np.array([0, 100, 255], np.uint8)[:, None, None, None]
    write_report(tmp_path, found_of([0, 1, 2], [1, 1, 1], [0.1, 0.9, 0.5]), data, 3)
    with Image.open(tmp_path / SHEET) as sheet:
        grey = np.asarray(sheet.convert("L"))
    middle = round((CAPTION + CELL / 2) * DOTS)
    assert [int(grey[middle, round((i + 0.5) * CELL * DOTS)]) for i in range(3)] == [0, 255, 100]


def test_captions():
    names = ("ape", "a very long name of a class", "two\n lines", "5 $")
    assert _caption(names, 0, 3) == r"ape → 5 \$"
    assert _caption(names, 1, 2) == "a very long n…\n→ two lines"
    assert _caption(names, 0, 0) == "ape ?"


def test_names_in_the_table(tmp_path):
    """A comma, a quotation mark and a line end come back as they were."""
    names = ("a, b", 'say "c"', "d\ne")
    write_report(tmp_path, found_of([0, 1, 2], [1, 2, 0], [0.1, 0.2, 0.3]), data_of([0, 1, 2], names=names), 1)
    assert [(row["given_name"], row["suggested_name"]) for row in table_of(tmp_path)] == [
        (names[0], names[1]),
        (names[1], names[2]),
        (names[2], names[0]),
    ]


@pytest.mark.parametrize("word", ["fashion_mnist", "folder", "npz"])
def test_config(word):
    config = module_of("find_label_errors").get_config(word)
    assert config.data.name == word
    assert config.search.name == "autodo"
    assert (config.data.noise > 0) == (config.data.validation_size > 0) == (word == "fashion_mnist")
    with pytest.raises(ValueError, match="unknown data 'photos'"):
        module_of("find_label_errors").get_config("photos")


@pytest.mark.slow
def test_precision_on_digits(tmp_path):
    """Of 1,147 rows 108 are wrong: chance would find 9 % of them, the list finds 85 % and hardly errs at first."""
    config = module_of("find_label_errors").get_config("npz")
    config.update({"eval_every": config.epochs, "suspects": 50})
    config.data.update(name="digits", noise=0.1, validation_size=200)
    config.augment.pad_and_crop.padding = 1
    trainer.train_and_evaluate(config, tmp_path)
    wrong = np.array([row["given"] != row["clean"] for row in table_of(tmp_path)])
    assert wrong.mean() < 0.1
    assert wrong[:50].mean() >= 0.95
    assert wrong[: wrong.sum()].mean() >= 0.85
    assert (
        np.mean([row["suggested"] == row["clean"] for row in table_of(tmp_path) if row["given"] != row["clean"]]) > 0.8
    )
