"""What a run reads: its rows and images, and every file or folder that an option of its config names."""

import os

import numpy as np
import pytest
from helpers.settings import tiny_config
from PIL import Image

from jaxaug import data, policies
from jaxaug.runs.inputs import differences
from jaxaug.train.config import complete
from jaxaug.train.inputs import facts_of_inputs, inputs_of, read_inputs_of


@pytest.fixture
def photographs(tmp_path):
    """A folder of two classes, three images each for training, one for the test."""
    rng = np.random.default_rng(0)
    for split, rows in (("train", 3), ("test", 1)):
        for name in ("cat", "dog"):
            folder = tmp_path / "photographs" / split / name
            folder.mkdir(parents=True)
            for row in range(rows):
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{row}.png")
    return tmp_path / "photographs"


def config_of(path, **changes):
    config = tiny_config(batch_size=2, **changes)
    config.data = {"name": "folder", "path": str(path)}
    return complete(config)


def test_a_folder_of_images(photographs, tmp_path, monkeypatch):
    """Rows are told by file; facts follow each file, the digests what they hold."""
    monkeypatch.chdir(tmp_path)
    config = config_of("photographs")
    inputs, facts = read_inputs_of(config), facts_of_inputs(config)
    np.testing.assert_array_equal(inputs.rows["train_label"], [0, 0, 0, 1, 1, 1])
    assert inputs.rows["files"][0] == b"train/cat/0.png"
    assert facts == facts_of_inputs(config) != ""
    os.utime(photographs / "test" / "dog" / "0.png", ns=(1, 1))
    assert facts_of_inputs(config) != facts
    assert read_inputs_of(config).all_digests() == inputs.all_digests()
    (photographs / "train" / "dog" / "1.png").rename(photographs / "train" / "cat" / "3.png")
    told = differences(inputs.all_digests(), tmp_path / "none", read_inputs_of(config))
    assert {"train label: not what it was", "files: not what it was"} <= {*told}


def test_a_table_of_images(photographs, tmp_path):
    """A file that it names may change without it, so that the set is read to know."""
    rows = [f"{file.relative_to(tmp_path)},{file.parent.name},{file.parts[-3]}" for file in photographs.rglob("*.png")]
    (tmp_path / "rows.csv").write_text("\n".join(["file,label,split", *sorted(rows)]))
    config = tiny_config(batch_size=2)
    config.data = {"name": "table", "path": str(tmp_path / "rows.csv")}
    config = complete(config)
    before = read_inputs_of(config)
    assert facts_of_inputs(config) == ""
    (photographs / "train" / "cat" / "0.png").write_bytes((photographs / "train" / "dog" / "0.png").read_bytes())
    assert differences(before.all_digests(), tmp_path / "none", read_inputs_of(config)) == [
        "train image: not what it was"
    ]


def test_files_that_options_name(tmp_path, monkeypatch):
    """Wherever they stand, relative ones too; a word that happens to be the name of a file is no path."""
    monkeypatch.chdir(tmp_path)
    policies.get("randaugment").save(tmp_path / "policy.json")
    (tmp_path / "device").touch()
    config = tiny_config()
    config.augment.train = ({"name": "policy", "file": "policy.json"},)
    config.data.directory = str(tmp_path)
    config = complete(config)
    name = "config.augment.train.policy.file (policy.json)"
    plain = read_inputs_of(complete(tiny_config()))
    before = read_inputs_of(config)
    assert {*before.digests} - {*plain.digests} == {name}
    assert before.facts == plain.facts == ""  # the digits have no path
    policies.get("randaugment", 1, 3).save(tmp_path / "policy.json")
    after = read_inputs_of(config)
    assert [key for key, one in before.all_digests().items() if after.all_digests()[key] != one] == [name]


@pytest.mark.parametrize("below", [".", "linear/seed_0"])
def test_a_run_is_known_by_its_figures(tmp_path, below):
    """That of a search's option `network`: its checkpoints are not read, nor what lies beside it in its sweep."""
    sweep = tmp_path / "sweep"
    folder = sweep / below
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "result.json").write_text('{"test_top1": 0.5}')
    config = tiny_config()
    config.search = {"name": "deepaa", "network": str(sweep)}
    config = complete(config)
    digits = data.load("digits")

    def told():
        return inputs_of(config, digits).digests[f"config.search.network ({sweep})"]

    before = told()
    (sweep / "report.html").touch()
    (folder / "checkpoints" / "new").touch()
    assert told() == before
    (folder / "result.json").write_text('{"test_top1": 0.6}')
    assert told() != before
