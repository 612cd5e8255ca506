"""The list of probably wrong labels: its rows and columns, its sheet of pictures, what it makes of known noise."""

import csv

import numpy as np
import pytest
from helpers.published_data import small
from PIL import Image

from jaxaug.label_errors.report import DOTS, SHEET, TABLE, write_report
from jaxaug.label_errors.scores import precision
from jaxaug.label_errors.sheet import CAPTION, CELL, MARGIN, caption

NAMES = ("ape", "bat", "cat")


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


def test_order_and_columns(tmp_path):
    """The least probable label first, equal ones in the order of the rows; true labels and what was found of them."""
    given, clean = [0, 1, 2, 0], [0, 2, 2, 1]
    data = data_of(given, clean_label=np.array(clean))
    found = found_of(given, [0, 2, 2, 1], [0.9, 0.0, 0.9, 0.25], clean=clean)
    # What was learned about rows: any number of each is a column, arrays of more are none.
    found |= {"weight": np.arange(4) / 8, "logits": np.zeros((4, 2)), "margin": np.arange(4)}
    figures = write_report(tmp_path, found, data, 3)
    table = table_of(tmp_path)
    assert list(table[0]) == [
        *("rank", "index", "given", "given_name", "suggested", "suggested_name", "given_label_loss"),
        *("weight", "margin", "model_given", "model_share", "clean", "clean_name"),
    ]
    assert [row["index"] for row in table] == ["1", "3", "0", "2"]
    assert [(row["weight"], row["margin"]) for row in table] == [
        ("0.125", "1"),
        ("0.375", "3"),
        ("0", "0"),
        ("0.25", "2"),
    ]
    assert table[0]["given_name"] == "bat"
    assert table[0]["suggested_name"] == table[0]["clean_name"] == "cat"
    assert float(table[1]["given_label_loss"]) == pytest.approx(np.log(4), rel=1e-5)
    assert figures == {"precision": pytest.approx(2 / 3), "recall": 1.0}
    assert precision(np.arange(4), np.zeros(4, bool), 2) == {}, "none is wrong"


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
    """Gray or not, small or large, high or wide, fewer rows than asked for."""
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
        gray = np.asarray(sheet.convert("L"))
    middle = round((CAPTION + CELL / 2) * DOTS)
    assert [int(gray[middle, round((i + 0.5) * CELL * DOTS)]) for i in range(3)] == [0, 255, 100]


def test_captions():
    names = ("ape", "a very long name of a class", "two\n lines", "5 $")
    assert caption(names, 0, 3) == r"ape → 5 \$"
    assert caption(names, 1, 2) == "a very long n…\n→ two lines"
    assert caption(names, 0, 0) == "ape ?"


def test_names_in_the_table(tmp_path):
    """A comma, a quotation mark and a line end come back as they were."""
    names = ("a, b", 'say "c"', "d\ne")
    write_report(tmp_path, found_of([0, 1, 2], [1, 2, 0], [0.1, 0.2, 0.3]), data_of([0, 1, 2], names=names), 1)
    assert [(row["given_name"], row["suggested_name"]) for row in table_of(tmp_path)] == [
        (names[0], names[1]),
        (names[1], names[2]),
        (names[2], names[0]),
    ]
