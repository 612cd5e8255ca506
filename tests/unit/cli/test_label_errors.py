"""`jaxaug label-errors` from a folder or an .npz to the list and back as labels and weights of a training; mistakes."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from jaxaug import data
from jaxaug.bilevel.per_example import gather_rows
from jaxaug.cli.main import MISTAKE, main
from jaxaug.core.errors import UsageError
from jaxaug.label_errors.reading import read_rows
from jaxaug.label_errors.trusted import apart
from jaxaug.train.config import default_config
from jaxaug.train.experiment import build_experiment

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


def taken_up(out, name, loss, **options):
    """What a training on the data set makes of `learned.npz`: (its data, arrays [N] by their names)."""
    config = default_config()
    config.data, config.model, config.loss = {"name": name, **options}, {"name": "linear"}, loss
    config.batch_size, config.search = 16, {"name": "learned", "run": str(out)}
    one = build_experiment(config)
    train, classes = one.data.train, one.data.num_classes
    everything, state = one.search.init(one.chain.meta(classes), train.index, 1)
    meta = gather_rows(None, everything, state, train.index).meta
    return one.data, one.chain.results(meta, train.label, classes)


def table_of(out, key):
    with (out / "label_errors.csv").open(newline="") as file:
        return {line[key]: line for line in csv.DictReader(file)}


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
    names = {f"label_errors.{end}" for end in ("csv", "png", "json", "html")}
    assert {path.name for path in out.iterdir()} == {*names, "without_suspects.csv", "learned.npz"}


def test_files_by_their_names(tmp_path):
    """Rows keep their weights where one was deleted since and some are cut off; without the first suspect."""
    root, out = photos(tmp_path / "photos"), tmp_path / "found"
    assert main(["label-errors", str(root), f"--out={out}", "--epochs=0", "--drop=1", "--quiet"]) == 0
    for gone in ("broken", "07"):
        (root / "day" / f"{gone}.png").unlink()
    options = {"path": str(root), "flat": True, "validation_size": 9}
    kept = data.load("folder", labels=str(out / "without_suspects.csv"), **options)
    trained, found = taken_up(out, "folder", ("learned_weights",), **options)
    names = [trained.files[row] for row in trained.train.index]
    assert len(names) == 50
    assert set(names) - {"night/03.png"} == {kept.files[row] for row in kept.train.index}
    right = 1 - np.array([float(line["score"]) for line in table_of(out, "file").values()])
    expected = {name: (1 - float(line["score"])) / right.mean() for name, line in table_of(out, "file").items()}
    np.testing.assert_allclose(found["weight"], [expected[name] for name in names], rtol=1e-4)
    with pytest.raises(
        UsageError, match=r"^config.search: learned: .* names its rows by files, and those of digits are"
    ):
        taken_up(out, "digits", ("learned_weights",))


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
    # Without what was not judged, too, whose label in the set may be another.
    options = {"path": str(tmp_path / "rows.npz"), "validation_size": 1}
    found = data.load("npz", labels=str(out / "without_suspects.csv"), **options).train
    assert not {3, 5} & {*found.index.tolist()}
    assert len(found) >= 55
    np.testing.assert_array_equal(found.label, found.index % 2)
    assert summary_of(out)["rows"] == 59


def test_a_data_set_by_its_name(tmp_path):
    out = tmp_path / "found"
    assert (
        main(["label-errors", "digits", "--data.noise=0.1", "--data.train_size=300", f"--out={out}", "--epochs=0"]) == 0
    )
    summary = summary_of(out)
    assert summary["rows"] == 300
    assert summary["known"]["recall"] > 0.7
    # A training on other rows, of which some were judged: these without suspects, with the labels that were judged.
    labels, cut = str(out / "without_suspects.csv"), {"seed": 1, "validation_size": 200}
    trained, found = taken_up(out, "digits", ("learned_targets", "learned_weights"), labels=labels, **cut)
    lines = {int(index): line for index, line in table_of(out, "index").items()}
    told = [lines[index] for index in trained.train.index]
    assert 200 < len(told) <= 300 - summary["estimated_errors"]
    assert min(int(line["rank"]) for line in told) > summary["estimated_errors"]
    np.testing.assert_array_equal(trained.train.label, [int(line["given"]) for line in told])
    right = 1 - np.array([float(line["score"]) for line in told])
    mean = np.mean([1 - float(line["score"]) for line in lines.values()])
    np.testing.assert_allclose(found["weight"], right / mean, rtol=1e-4)
    np.testing.assert_allclose(found["soft_given"], 0.9 * right + 0.01, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "there is no nowhere, nor a data set of that name: "),
        (["digits", "--epochs=-1"], "--epochs and --seed must be 0 or more"),
        (["digits", "--epochs=0", "--drop=1347"], "--drop=1347 must be less than the 1347 rows"),
        (["digits", "--noise=0.1"], "unknown argument '--noise': settings look like --data.noise=0.1"),
        (["digits", "--size=8"], "--size goes with a folder or a .csv"),
        (["digits", "--data.nois=0.1"], "unknown option 'nois' of data 'digits': did you mean 'noise'?"),
        (["digits", f"--out={__file__}"], "test_label_errors.py is a file; name a folder"),
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


def test_a_folder_inside_the_classes(tmp_path, capsys, monkeypatch):
    photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["label-errors", ".", "--epochs=0"]) == MISTAKE
    assert "--out: label_errors lies in ., where it would be taken for a class" in capsys.readouterr().err


@pytest.mark.parametrize("trusted", ["validation", "looked_at.csv"])
def test_trusted_rows(tmp_path, trusted, capsys):
    """They are not listed, nor dropped from a new training; of a table that the page gave only what was looked at."""
    root = photos(tmp_path / "photos" / "train")
    (root.parent / "validation").mkdir()
    for name in ("day", "night"):
        (root.parent / "validation" / name).mkdir()
        for i in range(20, 30):
            (root / name / f"{i}.png").rename(root.parent / "validation" / name / f"{i}.png")
    lines = [
        "file,label,mark",
        "train/night/03.png,day,wrong",
        "train/day/00.png,day,right",
        "train/day/01.png,day,unsure",
    ]
    (tmp_path / "looked_at.csv").write_text("\n".join([*lines, "train/night/04.png,,wrong", "elsewhere.png,day,right"]))
    out = tmp_path / "found"
    named = str(tmp_path / trusted) if trusted.endswith("csv") else trusted
    assert main(["label-errors", str(root.parent), f"--out={out}", "--epochs=0", f"--trusted={named}", "--drop=1"]) == 0
    listed, cleaned = table_of(out, "file"), (out / "without_suspects.csv").read_text().splitlines()
    kept, whole = dict(np.load(out / "learned.npz")), 60
    if trusted == "validation":
        assert "40 rows of 2 classes, 1 skipped, beside 20 trusted ones" in capsys.readouterr().out
        assert {name.partition("/")[0] for name in listed} == {"train"}
        assert "train/night/03.png," in cleaned
        assert "validation/day/20.png,day" in cleaned
    else:
        whole -= 1  # number 4 is left out by who looked
        assert len(listed) == 57
        assert not {"train/night/03.png", "train/day/00.png", "train/night/04.png"} & {*listed}
        assert "train/day/01.png" in listed
        assert {"train/night/03.png,day", "train/day/00.png,day"} < {*cleaned}
    assert {len(array) for array in kept.values() if array.ndim} >= {whole}


@pytest.mark.parametrize(
    ("trusted", "told"),
    [("test", "names none of the 4 rows that are judged, such as a/0.png"), ("all.csv", "names all of the 4 rows")],
)
def test_trusting_none_or_all(tmp_path, trusted, told):
    files = [f"{name}/{i}.png" for name in "ab" for i in range(2)]
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels(100)).save(tmp_path / file)
    (tmp_path / "all.csv").write_text("\n".join(["path", *files]))
    with pytest.raises(UsageError, match=told):
        apart(read_rows(tmp_path), trusted if trusted == "test" else str(tmp_path / trusted))
