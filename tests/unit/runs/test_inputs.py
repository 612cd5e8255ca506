"""What a run has read: written down, read back, and what differs told input by input."""

import json

import numpy as np
import pytest

from jaxaug.runs.inputs import Inputs, differences, read_inputs, save_inputs

ROWS = {"train_label": np.arange(10, dtype=np.int32), "files": np.array([b"a.png", b"b.png"])}
BEFORE = Inputs({"train_image": "1", "config.augment.train.policy.file (p.json)": "2"}, ROWS, "facts")


def told(tmp_path, digests=(), **rows):
    file, rows_file = tmp_path / "inputs.json", tmp_path / "rows.npz"
    save_inputs(file, rows_file, BEFORE)
    present = Inputs({**BEFORE.digests, **dict(digests)}, {**ROWS, **rows})
    return differences(read_inputs(file)["inputs"], rows_file, present)


def test_what_differs_is_told(tmp_path):
    assert told(tmp_path) == []
    label = ROWS["train_label"].copy()
    label[[3, 7]] = 0
    assert told(tmp_path, train_label=label) == ["train label: 2 of 10 differ, first row 3: there 3, now 0"]
    files = np.array([b"a.png", b"a2.png", b"b.png"])
    assert told(tmp_path, files=files) == ["files: 3 instead of 2, 1 of 2 differ, first row 1: there b.png, now a2.png"]
    assert told(tmp_path, {"train_image": "3"}, train_label=label[:8]) == [
        "train image: not what it was",
        "train label: 8 instead of 10, 2 of 8 differ, first row 3: there 3, now 0",
    ]
    policy = "config.augment.train.policy.file (p.json)"
    assert told(tmp_path, {policy: "4"}) == [f"{policy}: not what it was"]
    assert told(tmp_path, train_label=ROWS["train_label"].astype(np.int64)) == ["train label: not what it was"]


def test_inputs_that_only_one_side_knows_are_no_difference(tmp_path):
    """Another version of the program may tell more or less."""
    assert told(tmp_path, {"another": "5"}, more=np.arange(3)) == []


def test_many_differences_are_cut(tmp_path):
    before = {str(n): "1" for n in range(7)}
    found = differences(before, tmp_path / "none.npz", Inputs(dict.fromkeys(before, "2"), {}))
    assert len(found) == 6
    assert found[-1] == "and 2 more"


def test_damaged_rows_are_no_obstacle(tmp_path):
    save_inputs(tmp_path / "inputs.json", tmp_path / "rows.npz", BEFORE, ("once",))
    saved = read_inputs(tmp_path / "inputs.json")
    assert (saved["facts"], saved["accepted"]) == ("facts", ["once"])
    for content in (b"", (tmp_path / "rows.npz").read_bytes()[:50], b"nothing"):
        (tmp_path / "rows.npz").write_bytes(content)
        present = Inputs({}, {"train_label": np.zeros(3, np.int32)})
        assert differences(saved["inputs"], tmp_path / "rows.npz", present) == ["train label: not what it was"]
    (tmp_path / "inputs.json").write_text(json.dumps([1]))
    with pytest.raises(ValueError, match="it has no inputs"):
        read_inputs(tmp_path / "inputs.json")
