"""The list of `jaxaug label-errors`: table, sheet, summary, and the page, whose functions node runs if it is there."""

import csv
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from jaxaug import label_errors
from jaxaug.core.errors import UsageError
from jaxaug.label_errors.listing import PAGE, SHEET, SUMMARY, TABLE, write_listing
from jaxaug.label_errors.reading import Rows, read_rows, with_labels

NAMES = ("ape", 'b,"a"t', "</script>cat")
PICTURES = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
GIVEN = np.array([0, 1, 2, 0, 1, 2], np.int32)


def listed(folder, **known):
    """Rows of which 1 and 3 look like class 2; row 5 is row 4 made a little brighter, row 0 is blank."""
    image = PICTURES.copy()
    image[0], image[5] = 128, np.clip(image[4].astype(int) + 2, 0, 255)
    said = np.full((6, 3), 0.1) + 0.7 * np.eye(3)[[0, 2, 2, 2, 1, 2]]
    rows = Rows(image, GIVEN, NAMES, **known)
    return write_listing(folder, rows, label_errors.find(GIVEN, said), shown=4)


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
        table: page.corrected(data.rows, marks, data.names, data.column),
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
