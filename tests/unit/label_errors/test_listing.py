"""The list of `jaxaug label-errors`: table, sheet, summary, and the page, whose functions node runs if it is there."""

import csv
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from jaxaug import data as data_sets
from jaxaug import label_errors
from jaxaug.core.errors import UsageError
from jaxaug.label_errors.listing import PAGE, SHEET, SUMMARY, TABLE, write_listing
from jaxaug.label_errors.reading import Rows, as_dataset, read_rows, rows_of, with_labels

NAMES = ("ape", 'b,"a"t', "</script>cat")
PICTURES = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
GIVEN = np.array([0, 1, 2, 0, 1, 2], np.int32)


def listed(folder, trusted=None, whole=False, **known):
    """Rows of which 1 and 3 look like class 2; row 5 is row 4 made a little brighter, row 0 is blank."""
    image = PICTURES.copy()
    image[0], image[5] = 128, np.clip(image[4].astype(int) + 2, 0, 255)
    said = np.full((6, 3), 0.1) + 0.7 * np.eye(3)[[0, 2, 2, 2, 1, 2]]
    rows = Rows(image, GIVEN, NAMES, **known)
    return write_listing(folder, rows, label_errors.find(GIVEN, said), shown=4, trusted=trusted, whole=whole)


def test_what_is_written(tmp_path):
    summary = listed(tmp_path, clean=np.array([0, 2, 2, 2, 1, 2], np.int32), skipped=(("x.png", "cut short"),))
    with (tmp_path / TABLE).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["index"] for row in table[:2]] == ["1", "3"]
    assert (table[0]["given"], table[0]["suggested"], table[0]["clean"]) == (NAMES[1], NAMES[2], NAMES[2])
    assert len(table) == 6
    assert json.loads((tmp_path / SUMMARY).read_text()) == summary
    assert summary["odd"] == {"0": "blank"}
    assert [pair["rows"] for pair in summary["duplicates_with_other_labels"]] == [["4", "5"]]
    assert summary["known"]["recall"] == 1
    assert summary["skipped"] == {"x.png": "cut short"}
    with Image.open(tmp_path / SHEET) as sheet:
        assert sheet.width > 100


def test_rows_that_are_unlike_the_others(tmp_path):
    """Beside what is odd of them otherwise."""
    said = np.full((6, 3), 1 / 3)
    issues = label_errors.find(GIVEN, said)._replace(unlike=np.array([0, 9.0, 0, 0, 3.4, 0]))
    image = PICTURES.copy()
    image[1] = 128
    summary = write_listing(tmp_path, Rows(image, GIVEN, NAMES), issues)
    assert summary["odd"] == {"1": "blank, unlike the others"}


def data_of(page):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S).group(1))


def test_the_page_holds_everything(tmp_path):
    listed(tmp_path)
    page = (tmp_path / PAGE).read_text()
    data = data_of(page)
    assert data["names"] == list(NAMES), "a name that looks like markup does not end the data"
    assert [row["key"] for row in data["rows"]][:2] == ["1", "3"]
    assert len(data["rows"]) == 4
    assert all(row["image"].startswith("data:image/png;base64,") for row in data["rows"])
    assert not re.findall(r'(?:src|href)="http', page), "nothing is fetched"
    assert data["classes"][1][0] == "ape"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_marks_become_a_table(tmp_path):
    """What the page's functions make of marks, read back as labels of a set."""
    listed(tmp_path)
    page = (tmp_path / PAGE).read_text()
    script = re.findall(r"<script>(.*?)</script>", page, re.S)[-1]
    (tmp_path / "page.js").write_text(script)
    (tmp_path / "data.json").write_text(json.dumps(data_of(page)))
    program = """
      const page = require("./page.js"), data = require("./data.json");
      const marks = {"1": {mark: "wrong", label: 2}, "3": {mark: "wrong", label: -1}, "0": {mark: "right", label: 0}};
      const filters = {given: "", suggested: "2", marked: "wrong", text: ""};
      console.log(JSON.stringify({
        table: page.corrected(data.rows, marks, data.names, data.column, data.others),
        shown: page.chosen(data.rows, marks, filters).map((row) => row.key),
        groups: page.groups(data.rows, "pair", data.names).map(([title, rows]) => [title, rows.length]),
        byName: page.groups(data.rows, "key", data.names)[0][1].map((row) => row.key),
      }));
    """
    done = subprocess.run(["node", "-e", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["shown"] == ["1", "3"]
    assert found["byName"] == sorted(found["byName"])
    assert sum(count for _, count in found["groups"]) == 4
    (tmp_path / "corrected.csv").write_text(found["table"])
    rows = with_labels(Rows(PICTURES, GIVEN, NAMES), str(tmp_path / "corrected.csv"))
    np.testing.assert_array_equal(rows.index, [0, 1, 2, 4, 5])
    np.testing.assert_array_equal(rows.label, [0, 2, 2, 1, 2])


def test_a_table_of_all_rows(tmp_path):
    """Where labels or rows are not those of the set: rows without a card, those that are trusted, and nothing else."""
    trusted = Rows(PICTURES[:1], np.array([2], np.int32), NAMES, index=np.array([8]))
    listed(tmp_path, trusted, whole=True)
    lines = list(csv.reader(data_of((tmp_path / PAGE).read_text())["others"].splitlines()))
    assert lines[-2:] == [["8", NAMES[2], "right"], ["*", "", ""]]
    cards = [row["key"] for row in data_of((tmp_path / PAGE).read_text())["rows"]]
    assert {line[0] for line in lines[:-2]} | {*cards} == set("012345")
    assert all(line[1:] == [NAMES[GIVEN[int(line[0])]], ""] for line in lines[:-2])
    listed(tmp_path)
    assert data_of((tmp_path / PAGE).read_text())["others"] == ""


def test_duplicates_with_other_labels_are_told_first(tmp_path, monkeypatch):
    """However many there are with the same label, and how many were found."""
    monkeypatch.setattr("jaxaug.label_errors.listing.MOST_PAIRS", 1)
    image = PICTURES[[0, 0, 0, 1, 1, 2]]
    label, said = np.array([0, 0, 0, 1, 2, 2], np.int32), np.full((6, 3), 1 / 3)
    summary = write_listing(tmp_path, Rows(image, label, NAMES), label_errors.find(label, said))
    assert summary["duplicates_found"] == {"with_other_labels": 1, "with_the_same": 3}
    assert [pair["rows"] for pair in summary["duplicates_with_other_labels"]] == [["3", "4"]]
    assert len(summary["duplicates"]) == 1


def test_rows_that_were_left_out(tmp_path):
    """The others keep their file and number, as a set to train on too."""
    files = tuple(f"{row}.png" for row in range(6))
    (tmp_path / "labels.csv").write_text(f"file,label\n1.png,\n4.png,{NAMES[0]}\n")
    rows = with_labels(Rows(PICTURES, GIVEN, NAMES, files), str(tmp_path / "labels.csv"))
    again = rows.at(np.array([0, 2, 3]))
    for some in (rows, again):
        trained = as_dataset(some)
        assert [trained.files[row] for row in trained.train.index] == [*some.files]
    assert again.files == ("0.png", "3.png", "4.png")
    assert again.label.tolist() == [0, 0, 0]


def test_rows_without_a_label_are_skipped():
    found = rows_of(data_sets.load("digits", labels_per_class=2))
    assert (len(found.label), len(found.skipped), found.label.min()) == (20, 1327, 0)
    assert found.skipped[0][1] == "has no label"


def photos(root, splits=("",)):
    for split in splits:
        for name in ("ape", "bat"):
            (root / split / name).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(PICTURES[i]).save(root / split / name / f"{i}.png")
    return root


@pytest.mark.parametrize("splits", [("",), ("train", "test")])
def test_a_folder(tmp_path, splits):
    """Flat or with splits every image is a row; what cannot be read is skipped and named."""
    root = photos(tmp_path / "photos", splits)
    (root / splits[0] / "bat" / "broken.png").write_bytes(b"no image")
    rows = read_rows(root)
    assert len(rows.label) == 4 * len(splits)
    assert rows.image.shape[1:] == (20, 20, 3)
    assert rows.sides.tolist() == [[20, 24]] * len(rows.label)
    assert rows.class_names == ("ape", "bat")
    ((file, why),) = rows.skipped
    assert file.endswith("bat/broken.png")
    assert "cannot be read as an image" in why
    assert rows.picture(0).size == (24, 20)


def test_a_name_in_another_encoding(tmp_path):
    """No table could hold it: the file is skipped, and named as far as that can be."""
    root = photos(tmp_path / "photos")
    (root / "bat" / "0.png").rename(os.fsdecode(os.fsencode(root / "bat") + b"/caf\xe9.png"))
    rows = read_rows(root)
    assert len(rows.label) == 3
    assert rows.skipped == (("bat/caf\\xe9.png", "its name is not UTF-8, so that no table could name it: rename it"),)


def test_a_table_of_files(tmp_path):
    root = photos(tmp_path)
    (root / "rows.csv").write_text("path,label\nape/0.png,ape\nbat/1.png,bat\nbat/0.png,\nape/9.png,ape\n")
    rows = read_rows(root / "rows.csv")
    assert rows.files == ("ape/0.png", "bat/1.png")
    assert [file for file, _ in rows.skipped] == ["bat/0.png", "ape/9.png"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda root: root / "none", "is neither a folder of images nor a .csv"),
        (lambda root: root, "has no folders: images are looked for"),
    ],
)
def test_nothing_there(tmp_path, make, told):
    with pytest.raises(UsageError, match=told):
        read_rows(make(tmp_path))
