"""Labels of training rows from a file: which rows they reach, what is dropped, what is refused."""

import logging

import numpy as np
import pytest
from helpers.published_data import small

from jaxaug import data
from jaxaug.core.errors import UsageError
from jaxaug.data.label_files import relabel
from jaxaug.data.splits import keep_labels

NAMES = ("ape", "bat", "cat")


def four_rows(**known):
    image = np.zeros((4, 8, 8, 1), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None, None]
    rows = image, np.array([0, 1, 2, 0])
    return small(rows, rows, num_classes=3, class_names=NAMES, **known)


def written(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("index,label\n1,cat\n3,\n", None),
        ("label,mark,file\ncat,wrong,b.png\n,wrong,d.png\n", ("a.png", "b.png", "c.png", "d.png")),
        ("path,label\nb.png,2\nd.png,\n", ("a.png", "b.png", "c.png", "d.png")),
    ],
)
def test_a_table(tmp_path, caplog, text, files):
    """Names or numbers of classes; an empty label drops the row, one that is not named keeps its own."""
    with caplog.at_level(logging.WARNING):
        found = relabel(four_rows(files=files), written(tmp_path, text))
    np.testing.assert_array_equal(found.train.index, [0, 1, 2])
    np.testing.assert_array_equal(found.train.label, [0, 2, 2])
    np.testing.assert_array_equal(found.train.image[:, 0, 0, 0], [0, 1, 2])
    np.testing.assert_array_equal(found.test.label, [0, 1, 2, 0])
    assert "2 of 4 training rows are not named and keep their label" in caplog.text


def test_all_other_rows(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        found = relabel(four_rows(), written(tmp_path, "index,label\n1,cat\n*,\n2,2\n"))
    np.testing.assert_array_equal(found.train.index, [1, 2])
    np.testing.assert_array_equal(found.train.label, [2, 2])
    assert "2 of 4 training rows are not named and are left out if they had one" in caplog.text
    assert "lines are about" not in caplog.text
    found = relabel(four_rows(), written(tmp_path, "index,label\n*,cat\n1,ape\n"))
    np.testing.assert_array_equal(found.train.label, [2, 0, 2, 2])


def test_all_others_but_those_without_a_label(tmp_path):
    """What has no label has none that could be dropped; a line of its own drops it."""
    unlabelled = keep_labels(four_rows(), 1, 0)
    (without,) = np.flatnonzero(unlabelled.train.label < 0).tolist()
    found = relabel(unlabelled, written(tmp_path, "index,label\n1,cat\n*,\n"))
    assert dict(zip(found.train.index.tolist(), found.train.label.tolist(), strict=True)) == {1: 2, without: -1}
    found = relabel(unlabelled, written(tmp_path, f"index,label\n1,cat\n{without},\n*,\n"))
    assert found.train.label.tolist() == [2]


def test_an_array(tmp_path):
    path = tmp_path / "labels.npy"
    np.save(path, np.array([2, -1, 1, 0]))
    found = relabel(four_rows(), str(path))
    np.testing.assert_array_equal(found.train.index, [0, 2, 3])
    np.testing.assert_array_equal(found.train.label, [2, 1, 0])


def test_as_an_option(tmp_path):
    """Every set takes it; rows cut off for validation keep their labels."""
    plain = data.load("digits", validation_size=100)
    rows = len(plain.train) + len(plain.validation)
    np.save(tmp_path / "labels.npy", np.full(rows, 3))
    found = data.load("digits", validation_size=100, labels=str(tmp_path / "labels.npy"))
    assert set(found.train.label.tolist()) == {3}
    np.testing.assert_array_equal(found.validation.label, plain.validation.label)


def test_rows_cut_off_at_the_end(tmp_path):
    """An array of all rows there were is right, too, where those that are left happen to be the first ones."""
    image, label = np.zeros((8, 4, 4, 1), np.uint8), np.arange(1, 9) % 2
    np.savez(tmp_path / "rows.npz", train_image=image, train_label=label, test_image=image, test_label=label)
    np.save(tmp_path / "labels.npy", 1 - label)
    cut = set()
    for seed in range(40):
        options = {"path": str(tmp_path / "rows.npz"), "validation_size": 1, "seed": seed}
        found = data.load("npz", labels=str(tmp_path / "labels.npy"), **options)
        np.testing.assert_array_equal(found.train.label, found.train.index % 2)
        cut |= {*found.validation.index.tolist()}
    assert 7 in cut


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int32])
def test_an_unlabelled_row_gets_a_label(tmp_path, dtype):
    """Where true labels are known, that of such a row is what is given; unsigned labels have their -1, too."""
    image, label = np.zeros((8, 4, 4, 1), np.uint8), (np.arange(8) % 4).astype(dtype)
    more = {"train_clean_label": label, "unlabelled_image": image[:3]}
    np.savez(tmp_path / "a.npz", train_image=image, train_label=label, test_image=image, test_label=label, **more)
    plain = data.load("npz", path=str(tmp_path / "a.npz"))
    assert (plain.num_classes, plain.train.label[8:].tolist(), plain.clean_label[8:].tolist()) == (
        4,
        [-1] * 3,
        [-1] * 3,
    )
    labels = written(tmp_path, "index,label\n9,2\n0,3\n")
    found = data.load("npz", path=str(tmp_path / "a.npz"), labels=labels)
    assert (found.train.label[[0, 9, 10]].tolist(), found.clean_label[[0, 9, 10]].tolist()) == ([3, 2, -1], [0, 2, -1])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("index,label\n1,dog\n", r"line 2: no class is called 'dog'; classes are ape, bat, cat"),
        ("index,label\n9,cat\n", r"names none of the 4 training rows, which are an index from 0 to 3"),
        ("index,name\n1,cat\n", r"has the columns index, name: it needs label and one of file, path, index"),
        ("", r"has the columns of no header"),
        ("index,label\n0,\n1,\n2,\n3,\n", r"drops every training row"),
    ],
)
def test_mistakes_in_a_table(tmp_path, text, told):
    with pytest.raises(UsageError, match=told):
        relabel(four_rows(), written(tmp_path, text))


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros(3, int), r"holds int64\[3\]; 4 training rows need integers \[4\]"),
        (np.zeros(4), r"holds float64\[4\]"),
        (np.array([0, 0, 3, 0]), r"gives row 2 the label 3; with 3 classes it must be 0\.\.2, or -1"),
    ],
)
def test_mistakes_in_an_array(tmp_path, array, told):
    np.save(tmp_path / "labels.npy", array)
    with pytest.raises(UsageError, match=told):
        relabel(four_rows(), str(tmp_path / "labels.npy"))


def test_no_file(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        relabel(four_rows(), str(tmp_path / "none.csv"))
