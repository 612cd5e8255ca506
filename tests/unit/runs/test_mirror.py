"""A run in a bucket, for which a folder stands: what is copied, what is fetched, and where checkpoints lie."""

import json

import pytest

from jaxaug.core.errors import UsageError
from jaxaug.runs import mirror
from jaxaug.runs.workdir import Workdir, set_aside

CONFIG = {"seed": 0}


@pytest.fixture
def bucket(tmp_path):
    """(address of a run, the folder behind it)."""
    (tmp_path / "bucket").mkdir()
    return f"file://{tmp_path}/bucket/run", tmp_path / "bucket" / "run"


def test_addresses():
    assert [mirror.is_address(x) for x in ("gs://a/b", "s3://a", "runs/one", "/runs/one")] == [True, True, False, False]


def test_a_run_is_copied_and_found_again_on_another_machine(bucket, tmp_path):
    """The lock stays; checkpoints are written in the bucket itself, and are not fetched."""
    address, there = bucket
    folder = mirror.open_mirror(address, True, tmp_path / "one") / "a" / "seed_0"
    run = Workdir(folder, CONFIG)
    run.begin()
    run.finish({"test_top1": 1.0})
    run.close()
    assert run.checkpoints == there / "a" / "seed_0" / "checkpoints"
    assert not (there / "a" / "seed_0" / ".lock").exists()
    (run.checkpoints / "3").mkdir(parents=True)
    (run.checkpoints / "3" / "large").write_text("large")
    other = Workdir(mirror.open_mirror(address, True, tmp_path / "two") / "a" / "seed_0", CONFIG)
    assert other.result() == {"test_top1": 1.0}
    assert other.checkpoints == run.checkpoints
    assert not (other.path / "checkpoints").exists()
    other.close()


def test_only_what_changed_is_copied(bucket, tmp_path):
    address, there = bucket
    folder = mirror.open_mirror(address, True, tmp_path / "one")
    for name in ("kept", "changed"):
        (folder / name).write_text("first")
    mirror.push(folder)
    (there / "kept").write_text("by hand")
    (folder / "changed").write_text("second time")
    mirror.push(folder)
    assert [(there / name).read_text() for name in ("kept", "changed")] == ["by hand", "second time"]


def test_other_processes_fetch_nothing(bucket, tmp_path):
    address, there = bucket
    there.mkdir()
    (there / "table.json").write_text("{}")
    folder = mirror.open_mirror(address, False, tmp_path / "other")
    assert [path.name for path in folder.iterdir()] == [mirror.MARKER]
    assert mirror.checkpoints_of(folder, "checkpoints") == there / "checkpoints"
    assert json.loads((folder / mirror.MARKER).read_text())["address"] == address


def test_a_folder_is_no_mirror(tmp_path):
    assert mirror.checkpoints_of(tmp_path, "checkpoints") == tmp_path / "checkpoints"
    mirror.push(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"nosuch://a/b cannot be read: .*Check the address"):
        mirror.open_mirror("nosuch://a/b", True, tmp_path)


@pytest.mark.parametrize("below", ["a/seed_0", ""])
def test_a_run_that_is_set_aside_leaves_its_place_in_the_bucket(bucket, tmp_path, below):
    """With its checkpoints and its result, so that neither comes back; the folder stays a mirror."""
    address, there = bucket
    folder = mirror.open_mirror(address, True, tmp_path / "one") / below
    run = Workdir(folder, CONFIG)
    run.begin()
    (run.checkpoints / "3").mkdir(parents=True)
    (run.checkpoints / "3" / "large").write_text("large")
    run.finish({"test_top1": 1.0})
    run.close()
    moved = set_aside(folder)
    assert json.loads((moved / "result.json").read_text()) == {"test_top1": 1.0}
    kept = (there / below).parent / "replaced" / moved.name
    assert (kept / "checkpoints" / "3" / "large").read_text() == "large"
    assert (kept / "result.json").exists()
    assert not (there / below).exists()
    other = Workdir(folder, {"seed": 1})
    assert not other.complete()
    assert not other.checkpoints.exists()
    other.begin()
    other.close()
    assert json.loads((there / below / "config.json").read_text()) == {"seed": 1}
    assert not (there / below / "result.json").exists()


def test_a_bucket_that_fails_ends_no_training(bucket, tmp_path, capsys):
    address, there = bucket
    run = Workdir(mirror.open_mirror(address, True, tmp_path / "one") / "a", CONFIG)
    there.write_text("a file, where a folder has to be")
    run.log({"step": 1, "epoch": 1})
    assert f"{address} cannot be written" in capsys.readouterr().out
    there.unlink()
    run.log({"step": 2, "epoch": 2})
    run.close()
    assert len((there / "a" / "metrics.jsonl").read_text().splitlines()) == 2
