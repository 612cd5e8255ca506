"""`jaxaug label-errors` from a folder or an .npz to the list and back as labels of a training; mistakes in one line."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxaug import data
from jaxaug.cli.main import MISTAKE, main

RANDOM = np.random.default_rng(0)


def pixels(level):
    return RANDOM.integers(level - 30, level + 30, (8, 8, 3), dtype=np.uint8)


def photos(root):
    """Thirty bright images are "day", thirty dark ones "night", of which number 3 is bright; one file is broken."""
    for name, level in (("day", 200), ("night", 40)):
        (root / name).mkdir(parents=True)
        for i in range(30):
            Image.fromarray(pixels(200 if (name, i) == ("night", 3) else level)).save(root / name / f"{i:02}.png")
    (root / "day" / "broken.png").write_bytes(b"no image")
    return root


def summary_of(out):
    return json.loads((out / "label_errors.json").read_text())


def test_a_folder(tmp_path, capsys):
    """The wrong one comes first, with a network of one epoch."""
    out = tmp_path / "found"
    assert main(["label-errors", str(photos(tmp_path / "photos")), f"--out={out}", "--epochs=1", "--shown=5"]) == 0
    printed = capsys.readouterr().out
    assert "skipped day/broken.png" in printed
    assert "60 rows of 2 classes, 1 skipped" in printed
    assert (out / "label_errors.csv").read_text().splitlines()[1].startswith("1,night/03.png,night,day,")
    assert list(summary_of(out)["skipped"]) == ["day/broken.png"]
    # What the page would give back, as an option of the data set.
    (tmp_path / "photos" / "day" / "broken.png").unlink()
    (tmp_path / "corrected.csv").write_text("file,label,mark\nnight/03.png,day,wrong\nday/00.png,,wrong\n")
    options = {"path": str(tmp_path / "photos"), "flat": True, "validation_size": 1}
    found = data.load("folder", labels=str(tmp_path / "corrected.csv"), **options)
    names = [found.files[row] for row in found.train.index]
    assert len(set(names) - {"night/03.png"}) >= 57
    assert "day/00.png" not in names
    assert all(found.train.label[names.index(name)] == 0 for name in names if name == "night/03.png")
    assert {path.name for path in out.iterdir()} == {f"label_errors.{end}" for end in ("csv", "png", "json", "html")}


def test_arrays_with_other_labels(tmp_path, capsys):
    """Without rows to report on; row 3 is dropped by the labels, and row 5 is wrong by them."""
    image = np.stack([pixels(200 if i % 2 else 40) for i in range(60)])
    np.savez(tmp_path / "rows.npz", train_image=image, train_label=np.zeros(60, int) + (np.arange(60) == 0))
    labels = np.arange(60) % 2
    labels[[3, 5]] = -1, 0
    np.save(tmp_path / "labels.npy", labels)
    out = tmp_path / "found"
    command = ["label-errors", str(tmp_path / "rows.npz"), f"--labels={tmp_path / 'labels.npy'}", f"--out={out}"]
    assert main([*command, "--epochs=0", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"out": str(out), **summary_of(out)}
    assert "59 rows of 2 classes" in printed.err
    assert main([*command, "--epochs=0", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    lines = (out / "label_errors.csv").read_text().splitlines()
    assert lines[1].startswith("1,5,0,1,")
    assert summary_of(out)["rows"] == 59


def test_a_data_set_by_its_name(tmp_path):
    out = tmp_path / "found"
    assert (
        main(["label-errors", "digits", "--data.noise=0.1", "--data.train_size=300", f"--out={out}", "--epochs=0"]) == 0
    )
    summary = summary_of(out)
    assert summary["rows"] == 300
    assert summary["known"]["recall"] > 0.7


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "there is no nowhere, nor a data set of that name: "),
        (["digits", "--epochs=-1"], "--epochs and --seed must be 0 or more"),
        (["digits", "--noise=0.1"], "unknown argument --noise=0.1: options of a data set look like --data.noise=0.1"),
    ],
)
def test_mistakes(capsys, arguments, told):
    assert main(["label-errors", *arguments]) == MISTAKE
    assert told in capsys.readouterr().err


def test_one_class(tmp_path, capsys):
    photos(tmp_path)
    assert main(["label-errors", str(tmp_path / "day"), f"--out={tmp_path}"]) == MISTAKE
    assert "has no folders" in capsys.readouterr().err
    (tmp_path / "only").mkdir()
    (tmp_path / "day").rename(tmp_path / "only" / "day")
    assert main(["label-errors", str(tmp_path / "only"), f"--out={tmp_path}"]) == MISTAKE
    assert "all 30 rows are labelled day: wrong labels show among two or more classes" in capsys.readouterr().err
