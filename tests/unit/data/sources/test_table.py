"""A user's images listed in a table: the rows of the same images in folders, splits, rows without a label, mistakes."""

import csv
import shutil

import numpy as np
import pytest
from helpers.published_data import load
from PIL import Image

from jaxaug.core.errors import UsageError
from jaxaug.data.label_files import relabel
from jaxaug.label_errors.reading import read_rows

# (file, label, split): two classes, whose numbers sort otherwise as words.
ROWS = [
    ("b.png", "10", "train"),
    ("a.png", "2", "train"),
    ("sub/c.png", "10", "val"),
    ("d.png", "2", "test"),
    ("e.png", "2", "train"),
    ("f.png", "10", "validation"),
]


def write(path, rows, titles=("file", "label", "split")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([titles, *rows])
    return str(path)


@pytest.fixture
def root(tmp_path):
    """A folder with the images of ROWS."""
    for seed, (file, _, _) in enumerate(ROWS):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / file)
    return tmp_path


def pixels(path):
    return np.asarray(Image.open(path))


def test_rows_are_in_the_order_of_the_table(root):
    data = load("table", path=write(root / "rows.csv", ROWS))
    assert (data.name, data.class_names) == ("table", ("2", "10"))
    assert [*data.train.label] == [1, 0, 0]
    assert [*data.validation.label] == [1, 1]
    assert [*data.test.label] == [0]
    assert data.files == ("b.png", "a.png", "e.png", "sub/c.png", "f.png")
    for split in (data.train, data.validation):
        for row in range(len(split)):
            np.testing.assert_array_equal(split.image[row], pixels(root / data.files[split.index[row]]))
    np.testing.assert_array_equal(data.test.image[0], pixels(root / "d.png"))


def test_the_same_as_from_folders(root, tmp_path_factory):
    """The set of one table is that of its images moved into a folder for each class."""
    folders = tmp_path_factory.mktemp("folders")
    for file, label, split in ROWS:
        place = folders / split.replace("validation", "val") / label
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / file, place)
    found, other = load("table", path=write(root / "rows.csv", ROWS)), load("folder", path=str(folders))
    assert {image.tobytes() for image in found.train.image} == {image.tobytes() for image in other.train.image}
    np.testing.assert_allclose(found.mean, other.mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, other.std, rtol=1e-12)


def test_without_splits_validation_rows_are_cut(root, tmp_path_factory):
    """Images may lie elsewhere, and files have their whole path."""
    place = tmp_path_factory.mktemp("tables")
    rows = [(file, label) for file, label, _ in ROWS]
    found = load("table", path=write(place / "r.csv", rows, ("path", "label")), images=str(root), validation_size=2)
    assert (len(found.train), len(found.validation)) == (4, 2)
    rows = [(str(root / file), label) for file, label in rows]
    same = load("table", path=write(place / "r.csv", rows, ("file", "label")), validation_size=2)
    np.testing.assert_array_equal(found.train.image, same.train.image)
    assert same.files[0] == str(root / "b.png")


@pytest.mark.parametrize("spelt", ["{root}/{file}", "./{file}", "sub/../{file}"])
def test_rows_are_called_as_the_table_calls_them(root, spelt):
    """So that a table of labels of the same spelling, such as that of label-errors, is about them."""
    rows = [(spelt.format(root=root, file=file), label, split) for file, label, split in ROWS]
    path = write(root / "rows.csv", rows)
    data = relabel(load("table", path=path), path)
    assert data.files[0] == rows[0][0] == read_rows(root / "rows.csv").files[0]
    with pytest.raises(UsageError, match=r"line 8: b\.png is in line 2 already"):
        load("table", path=write(root / "rows.csv", [*rows, ROWS[0]]))


def test_what_programs_write(root):
    """Blanks, capitals, -1 for no label, whole numbers with a point."""
    rows = [(f" {file} ", f"{label}.0", split.upper()) for file, label, split in ROWS]
    (root / "g.png").write_bytes((root / "a.png").read_bytes())
    path = write(root / "rows.csv", [*rows, ("g.png", "-1.0", "train")], ("File", " Label", "split "))
    data = load("table", path=path)
    assert data.class_names == ("2", "10")
    assert [*data.train.label] == [1, 0, 0, -1]


def test_numbers_with_zeros_before_them(root):
    """01 and 1 in another table are one class, and never the class in the place 1."""
    rows = [(file, {"2": "01", "10": "02"}[label], split) for file, label, split in ROWS]
    data = load("table", path=write(root / "rows.csv", rows))
    assert data.class_names == ("01", "02")
    same = relabel(data, write(root / "o.csv", [("b.png", "2"), ("a.png", "1")], ("file", "label")))
    assert [*same.train.label] == [*data.train.label]
    with pytest.raises(UsageError, match="no class is called '0'; classes are 01, 02"):
        relabel(data, write(root / "o.csv", [("b.png", "0")], ("file", "label")))


def test_labels_of_another_file_and_rows_without(root):
    rows = [*ROWS, ("g.png", "", "train")]
    (root / "g.png").write_bytes((root / "a.png").read_bytes())
    data = load("table", path=write(root / "rows.csv", rows))
    assert [*data.train.label] == [1, 0, 0, -1]
    changed = relabel(data, write(root / "corrected.csv", [("a.png", "10"), ("e.png", "")], ("file", "label")))
    assert [*changed.train.label] == [1, 1, -1]


@pytest.mark.parametrize(
    ("rows", "titles", "message"),
    [
        (ROWS, ("file", "class", "split"), "has the columns file, class, split: it needs label and one of file, path"),
        ([*ROWS, ("a.png", "10", "train")], None, r"line 8: a\.png is in line 3 already, and a row has one label"),
        ([*ROWS, ("", "10", "train")], None, "line 8: it names no file"),
        ([], None, "has a header and no rows"),
        (
            ROWS,
            ("index", "label", "split"),
            r"has the columns index, label, split: it needs label and one of file, path$",
        ),
        ([*ROWS, ("g.png", "010", "train")], None, "the labels '010' and '10' are one number: write them alike"),
        ([*ROWS, ("g.png", "10", "dev")], None, r"line 8: the split 'dev' must be train, validation \(or val\)"),
        ([*ROWS, ("g.png", "10", "train")], None, r"names 1 files that are not there, such as .*g\.png: set images to"),
        ([*ROWS, ("g.png", "7", "test")], None, "no training row of the classes 7, which other rows have"),
        ([*ROWS, ("g.png", "", "test")], None, r"line 8: a test row needs a label, g\.png has none"),
        ([ROWS[2]], None, "has no training row with a label"),
        ([(file, label, "train") for file, label, _ in ROWS], None, "neither test nor validation rows"),
    ],
)
def test_tables_that_cannot_be(root, rows, titles, message):
    with pytest.raises(UsageError, match=message):
        load("table", path=write(root / "rows.csv", rows, titles or ("file", "label", "split")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"table: set path to a \.csv"),
        ({"path": "nowhere.csv"}, r"nowhere\.csv cannot be read as a table"),
        ({"path": "x.csv", "size": -1}, r"table: size=-1 must be 0 or more"),
        ({"path": "x.csv", "channels": 2}, "and channels=2 0, 1 or 3"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(UsageError, match=message):
        load("table", **options)
