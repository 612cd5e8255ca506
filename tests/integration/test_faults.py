"""Faults injected into runs: nothing is lost, and one clear message says what to do."""

import contextlib
import json
import os
import resource
import shutil

import numpy as np
import pytest
from helpers import damage, killed
from helpers.processes import kill
from helpers.run_state import assert_same, final_state
from helpers.settings import tiny_config

from jaxaug import data, policies
from jaxaug.core.errors import CannotGoOnError, UsageError
from jaxaug.policies.policy import make_policy
from jaxaug.runs.workdir import Workdir
from jaxaug.train import trainer
from jaxaug.train.config import complete

fault = pytest.mark.fault


# ---- what lies in the folder is damaged


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """(folder, config) of a run of three epochs that came to the end of its training, but not to its result."""
    folder, config = tmp_path_factory.mktemp("stopped"), small_config()
    trainer.train_and_evaluate(config, folder)
    return folder, config


def small_config(**changes):
    config = tiny_config(epochs=3, **changes)
    config.model, config.loss, config.augment.train = {"name": "linear"}, (), ()
    return config


@pytest.fixture
def run(stopped, tmp_path):
    """(a copy of the folder, config)."""
    shutil.copytree(stopped[0], tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    return tmp_path / "run", stopped[1]


def arrays_of(folder):
    """The file that holds the arrays of the newest checkpoint."""
    files = (folder / "checkpoints" / "63").rglob("*")
    return max((path for path in files if path.is_file()), key=lambda path: path.stat().st_size)


FILES = {
    "config.json": (lambda folder: folder / "config.json", r"config\.json is damaged"),
    "inputs.json": (lambda folder: folder / "inputs.json", r"inputs\.json, which says what .* is damaged"),
    "metrics.jsonl": (lambda folder: folder / "metrics.jsonl", r"line \d of .*metrics\.jsonl is damaged"),
    "a checkpoint": (arrays_of, r"checkpoints/63 is damaged: .* Move it away to go on from step 42"),
    "structure.json": (lambda folder: folder / "checkpoints" / "structure.json", r"structure\.json, .* is damaged"),
}
# A last record that was cut is what a killed process leaves; without any, the epochs are evaluated no more.
DAMAGES = [
    (file, how) for file in FILES for how in damage.WAYS if file != "metrics.jsonl" or how == "with a flipped bit"
]


@fault("{file} of an interrupted run, {how}", "one message that says which file and how to go on; nothing is touched")
@pytest.mark.parametrize(("file", "how"), DAMAGES)
def test_damaged(run, file, how):
    folder, config = run
    path, message = FILES[file]
    damage.WAYS[how](path(folder))
    before = damage.contents(folder)
    with pytest.raises(CannotGoOnError, match=message) as found:
        trainer.train_and_evaluate(config, folder)
    assert "--restart" in str(found.value)
    assert damage.contents(folder) == before


@fault("result.json of a finished run, {how}", "one message that says which file and how to go on; nothing is touched")
@pytest.mark.parametrize("how", damage.WAYS)
def test_damaged_result(stopped, tmp_path, how):
    folder, config = shutil.copytree(stopped[0], tmp_path / "run"), stopped[1]
    damage.WAYS[how](folder / "result.json")
    with pytest.raises(CannotGoOnError, match=r"result\.json is damaged: .*--restart"):
        trainer.train_and_evaluate(config, folder)


@fault(
    "the last record of metrics.jsonl, cut short", "the run goes on; that epoch is run and recorded again if need be"
)
def test_a_record_cut_short(run):
    folder, config = run
    expected = final_state(folder, config)
    shutil.rmtree(folder / "checkpoints" / "63")
    lines = (folder / "metrics.jsonl").read_bytes()
    (folder / "metrics.jsonl").write_bytes(lines[:-20])
    trainer.train_and_evaluate(config, folder)
    assert_same(final_state(folder, config), expected)
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3


@fault(
    "a damaged checkpoint, moved away as the message says", "the run goes on from the one before, bit for bit the same"
)
def test_from_the_checkpoint_before(run):
    folder, config = run
    expected = final_state(folder, config)
    shutil.move(folder / "checkpoints" / "63", folder / "damaged")
    trainer.train_and_evaluate(config, folder)
    assert_same(final_state(folder, config), expected)


@fault(
    "a damaged checkpoint, and `--restart`", "the run starts anew and ends the same; what was there is in `replaced`"
)
def test_restart(run, stopped, capsys):
    folder, config = run
    damage.flip(arrays_of(folder))
    before = damage.contents(folder)
    trainer.train_and_evaluate(config, folder, on_change="restart")
    assert damage.contents(folder.parent / "replaced" / "run-1") == before
    assert "Started anew; what was there is in" in capsys.readouterr().out
    assert_same(final_state(folder, config), final_state(stopped[0], config))


@fault("rows.npz of an interrupted run, {how}", "the run goes on, and writes it again")
@pytest.mark.parametrize("how", ["with a flipped bit"])
def test_damaged_rows(run, how):
    folder, config = run
    expected = (folder / "rows.npz").read_bytes()
    damage.WAYS[how](folder / "rows.npz")
    trainer.train_and_evaluate(config, folder)
    assert (folder / "rows.npz").read_bytes() == expected


# ---- what a run reads is damaged


def random_arrays():
    """200 and 50 rows of four classes."""
    random_numbers = np.random.default_rng(0)
    arrays = {}
    for split, rows in (("train", 200), ("test", 50)):
        arrays[f"{split}_image"] = random_numbers.integers(0, 255, (rows, 8, 8, 1), dtype=np.uint8)
        arrays[f"{split}_label"] = np.arange(rows) % 4
    return arrays


@pytest.fixture
def npz(tmp_path):
    np.savez(tmp_path / "data.npz", **random_arrays())
    return tmp_path / "data.npz"


@fault("the .npz of the data, {how}", "one message before anything is computed")
@pytest.mark.parametrize("how", damage.WAYS)
def test_damaged_npz(npz, how):
    damage.WAYS[how](npz)
    with pytest.raises(UsageError, match=r"npz: .*data\.npz cannot be read: "):
        data.load("npz", path=str(npz))


@fault("a pickle in the place of an .npz", "one message; the pickle is not executed")
def test_pickle(npz, run, tmp_path):
    trace = tmp_path / "executed"
    damage.pickled(npz, trace)
    with pytest.raises(UsageError, match=r"npz: .*data\.npz cannot be read: "):
        data.load("npz", path=str(npz))
    folder, config = run
    damage.pickled(folder / "rows.npz", trace)
    trainer.train_and_evaluate(config, folder)
    assert not trace.exists()


@fault("policy.json, {how}", "one message that names the file")
@pytest.mark.parametrize("how", damage.WAYS)
def test_damaged_policy(tmp_path, how):
    file = tmp_path / "policy.json"
    policies.get("randaugment").save(file)
    damage.WAYS[how](file)
    with pytest.raises(UsageError, match=r"policy\.json is not a policy of jaxaug"):
        policies.load(file)


# ---- what a run has read changes


def other_labels(path, arrays, file):
    np.savez(path, **{**arrays, "train_label": np.roll(arrays["train_label"], 1)})


def fewer_rows(path, arrays, file):
    np.savez(path, **{name: array[:-8] if name.startswith("train") else array for name, array in arrays.items()})


def other_images(path, arrays, file):
    np.savez(path, **{**arrays, "test_image": 255 - arrays["test_image"]})


def other_policy(path, arrays, file):
    policy_of(0.5).save(file)


def policy_of(level):
    return make_policy([[[("Brightness", level, 1.0)]]])


CHANGES = {
    "labels": (other_labels, "train label: 200 of 200 differ, first row 0: there 0, now 3"),
    "rows": (fewer_rows, "train label: 192 instead of 200"),
    "images": (other_images, "test image: not what it was"),
    "policy file": (other_policy, r"config\.augment\.train\.policy\.file .*policy\.json.*: not what it was"),
}


@pytest.fixture(scope="module")
def finished_reader(tmp_path_factory):
    """(a folder with data.npz, policy.json and a finished run that has read both, the run's config)."""
    folder = tmp_path_factory.mktemp("reader")
    np.savez(folder / "data.npz", **random_arrays())
    policy_of(0.2).save(folder / "policy.json")
    config = small_config()
    config.epochs, config.data = 1, {"name": "npz", "path": str(folder / "data.npz")}
    config.augment.train = ({"name": "policy", "file": str(folder / "policy.json")},)
    trainer.train_and_evaluate(config, folder / "run")
    return folder, config


@pytest.fixture
def read(finished_reader, tmp_path):
    """(folder of a finished run, data.npz, policy.json, config); what a test does to the files is undone."""
    folder, config = finished_reader
    before = {name: (folder / name).read_bytes() for name in ("data.npz", "policy.json")}
    yield shutil.copytree(folder / "run", tmp_path / "run"), folder / "data.npz", folder / "policy.json", config
    for name, content in before.items():
        (folder / name).write_bytes(content)


@fault("other {what} after a run, {state}", "the same command says what differs and how to go on; nothing is touched")
@pytest.mark.parametrize("state", ["finished", "interrupted"])
@pytest.mark.parametrize("what", CHANGES)
def test_changed_inputs(read, what, state):
    folder, path, file, config = read
    change, message = CHANGES[what]
    if state == "interrupted":
        (folder / "result.json").unlink()
    change(path, random_arrays(), file)
    before = damage.contents(folder)
    with pytest.raises(CannotGoOnError, match=f"(?s)has read something else before:.*{message}.*--restart.*--accept"):
        trainer.train_and_evaluate(config, folder)
    assert damage.contents(folder) == before


@fault(
    "the same data and policy as copies, newer and elsewhere in time", "a finished run is returned, and told to be one"
)
def test_copies(read, capsys):
    folder, path, file, config = read
    np.savez(path, **random_arrays())
    os.utime(file)
    for _ in range(2):
        trainer.train_and_evaluate(config, folder)
        assert capsys.readouterr().out == f"npz: finished before; nothing was trained ({folder})\n"


@fault("data that are gone after a finished run", "its result is returned, and that it could not be compared is told")
def test_data_gone(read, capsys):
    folder, path, _, config = read
    path.unlink()
    assert trainer.train_and_evaluate(config, folder)["test_top1"] >= 0
    printed = capsys.readouterr().out
    assert "finished before; nothing was trained" in printed
    assert "Whether it would read the same today is not known: config.data: npz: there is no file" in printed


@fault(
    "other labels after an interrupted run, and `--accept_inputs`", "the run goes on, and keeps note of what differed"
)
def test_accepted(read):
    folder, path, file, config = read
    (folder / "result.json").unlink()
    other_labels(path, random_arrays(), file)
    trainer.train_and_evaluate(config, folder, on_change="accept")
    assert "200 of 200 differ" in json.loads((folder / "inputs.json").read_text())["accepted"][0]
    trainer.train_and_evaluate(config, folder)


@fault("the folder of a run of an older version, without inputs.json", "the run goes on, and has one then")
@pytest.mark.parametrize("state", ["finished", "interrupted"])
def test_older_versions(read, state):
    folder, *_, config = read
    expected = json.loads((folder / "inputs.json").read_text())
    (folder / "inputs.json").unlink()
    if state == "interrupted":
        (folder / "result.json").unlink()
    trainer.train_and_evaluate(config, folder)
    assert json.loads((folder / "inputs.json").read_text())["inputs"] == expected["inputs"]


# ---- no room, no permission, no exclusive use


@contextlib.contextmanager
def room_for(size):
    """No file may grow beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@fault(
    "a full disk while {what} is written", "one message; with room again, the same command ends bit for bit the same"
)
@pytest.mark.parametrize(
    ("what", "size", "message"),
    [
        ("config.json", 300, r"File too large.*Make room, or the folder writable; the same command goes on"),
        ("a checkpoint", 5300, r"a checkpoint could not be written in .*that of step 42 is kept, and the same command"),
    ],
)
def test_full_disk(run, stopped, what, size, message):
    folder, config = run
    if what == "a checkpoint":
        shutil.rmtree(folder / "checkpoints" / "63")
    else:
        shutil.rmtree(folder)
    with room_for(size), pytest.raises(UsageError, match=message):
        trainer.train_and_evaluate(config, folder)
    trainer.train_and_evaluate(config, folder)
    assert_same(final_state(folder, config), final_state(stopped[0], config))


@fault("a second process in the folder of a run", "it is told which process works there, and stops; the first goes on")
def test_two_processes(run):
    folder, config = run
    first = Workdir(folder, complete(config).to_dict())
    before = damage.contents(folder)
    with pytest.raises(UsageError, match=rf"process {os.getpid()} on .* works in the workdir .*another --workdir"):
        trainer.train_and_evaluate(config, folder)
    assert damage.contents(folder) == before
    first.close()


@fault("a folder that cannot be written", "one message before anything is computed")
@pytest.mark.parametrize(
    "how",
    ["a file in its place", pytest.param("read-only", marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may"))],
)
def test_read_only(tmp_path, how):
    if how == "read-only":
        tmp_path.chmod(0o500)
    else:
        (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="cannot write to the workdir"):
        trainer.train_and_evaluate(small_config(), tmp_path / "run" / "one")
    tmp_path.chmod(0o700)


# ---- killed


@pytest.fixture(scope="module", params=["autodo", pytest.param("deepaa", marks=pytest.mark.slow)])
def undisturbed(request, tmp_path_factory):
    """(word, config, what a run left alone ends with)."""
    word, folder = request.param, tmp_path_factory.mktemp(request.param)
    config = killed.get_config(word)
    trainer.train_and_evaluate(config, folder)
    return word, config, left_by(word, folder, config)


def left_by(word, folder, config):
    return final_state(folder, config) if word == "autodo" else {"policy": np.fromfile(folder / "policy.json", "u1")}


@fault("SIGKILL at random moments of a run with the search {undisturbed}", "the same command ends bit for bit the same")
@pytest.mark.parametrize("times", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_killed(undisturbed, times, tmp_path):
    word, config, expected = undisturbed
    folder = tmp_path / config.model.name / "seed_0"
    log = folder / ("metrics.jsonl" if word == "autodo" else "search.jsonl")
    # As many devices as here: another number would round sums differently.
    command = [f"--config=tests/helpers/killed.py:{word}"]
    was_killed = [kill(command, tmp_path, log, devices=2) for _ in range(times)]
    assert was_killed[0]  # later it may come to its end
    trainer.train_and_evaluate(config, folder)
    assert_same(left_by(word, folder, config), expected)
