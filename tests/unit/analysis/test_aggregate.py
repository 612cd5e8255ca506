"""Many runs in one table: what is one line, in which order, under which name, and what is left out."""

import csv
import json
import statistics
import subprocess
import sys

import pytest
from helpers.settings import ROOT

from jaxaug.analysis import aggregate, results_table
from jaxaug.cli import main as command
from jaxaug.core.errors import UsageError

TOP1 = {0: 0.80, 1: 0.84, 2: 0.85}


def write_run(folder, seed=0, /, top1=None, complete=True, changes=None, **data):
    """A run's folder with nothing in it but what is read."""
    config = {"seed": seed, "epochs": 8, "data": {"name": "digits", "seed": 0, "imbalance": 1.0, "noise": 0.0, **data}}
    config |= {"optim": {"learning_rate": 0.1, "milestones": []}, **(changes or {})}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "environment.json").write_text("{}")
    top1 = TOP1[seed] if top1 is None else top1
    result = {"test_top1": top1, "test_nll": 1 - top1, "chosen_top1": top1 - 0.01, "best_on_test_top1": top1 + 0.02}
    if complete:
        (folder / "result.json").write_text(json.dumps({**result, "reliability": {"share": []}}))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two distortions, eight methods; three seeds of one of them, the last with another seed of the data."""
    for seed in (0, 1):
        write_run(tmp_path / "a" / "SEP_BOTH" / f"seed_{seed}", seed, imbalance=10.0, noise=0.3)
    write_run(tmp_path / "b" / "SEP_BOTH" / "seed_2", 2, imbalance=10, noise=0.3, seed=5)
    for name in ("validation_only", "train_and_validation", "mine", "SHA", "compat_SEP_SOFT", "SEP_SOFT", "plain"):
        write_run(tmp_path / "a" / name / "seed_0", imbalance=10.0, noise=0.3)
    write_run(tmp_path / "a" / "clean" / "seed_0", imbalance=100.0)
    write_run(tmp_path / "a" / "plain" / "seed_1", 1, complete=False, imbalance=10.0, noise=0.3)
    return tmp_path


def test_groups_and_their_order(runs):
    """What differs in seeds is one group, 10 and 10.0 are one number; noise, then imbalance, then AutoDO's methods."""
    found = aggregate.aggregate([runs / "b", runs, runs / "a"])
    assert [(group.distortion, group.method, len(group.runs)) for group in found.groups] == [
        ("100-0.0", "clean", 1),
        ("10-0.3", "plain", 1),
        ("10-0.3", "SHA", 1),
        ("10-0.3", "SEP_SOFT", 1),
        ("10-0.3", "compat_SEP_SOFT", 1),
        ("10-0.3", "SEP_BOTH", 3),
        ("10-0.3", "mine", 1),
        ("10-0.3", "train_and_validation", 1),
        ("10-0.3", "validation_only", 1),
    ]
    assert [run.seeds for run in found.groups[5].runs] == [(0, 0), (1, 0), (2, 5)]
    assert found.left_out == {"not complete": (runs / "a" / "plain" / "seed_1",)}
    assert not any(group.apart for group in found.groups)


def test_names_that_collide(tmp_path):
    """The fields that differ tell, those first that tell all apart; lists and missing fields have a word too."""
    rates = {"optim": {"learning_rate": 0.1, "milestones": [2, 4]}}
    write_run(tmp_path / "a" / "plain" / "seed_0")
    write_run(tmp_path / "b" / "plain" / "seed_0", changes={**rates, "epochs": 9, "suspects": 3})
    write_run(tmp_path / "c" / "plain" / "seed_0", changes={**rates, "epochs": 10})
    write_run(tmp_path / "c" / "plain" / "seed_1", 1, changes={**rates, "epochs": 10})
    write_run(tmp_path / "c" / "other" / "seed_0")
    names = {group.name: len(group.runs) for group in aggregate.aggregate([tmp_path]).groups}
    assert names == {
        "plain\n  epochs=8\n  optim.milestones=()\n  suspects=-": 1,
        "plain\n  epochs=9\n  optim.milestones=2+4\n  suspects=3": 1,
        "plain\n  epochs=10\n  optim.milestones=2+4\n  suspects=-": 2,
        "other": 1,
    }
    many = {f"field_{i}": i for i in range(7)}
    write_run(tmp_path / "d" / "other" / "seed_0", changes=many)
    names = [group.name for group in aggregate.aggregate([tmp_path]).groups]
    assert any(name.startswith("other") and name.endswith("\n  and 3 more") for name in names)


def test_what_is_left_out(tmp_path):
    """Copies count once; what cannot be read is named; config.json of something else is not looked at."""
    write_run(tmp_path / "a" / "plain" / "seed_0")
    write_run(tmp_path / "copy" / "plain" / "seed_0")
    (write_run(tmp_path / "broken" / "seed_0") / "result.json").write_text("{")
    (write_run(tmp_path / "list" / "seed_0") / "result.json").write_text("[1]")
    write_run(tmp_path / "a" / "plain" / "seed_0" / "checkpoints" / "seed_0")
    for name, text in (("other", '{"hidden_size": 3}'), ("no_json", "//")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    found = aggregate.aggregate([tmp_path])
    assert [len(group.runs) for group in found.groups] == [1]
    assert found.left_out == {
        aggregate.REPEATED: (tmp_path / "copy" / "plain" / "seed_0",),
        aggregate.UNREADABLE: (tmp_path / "broken" / "seed_0", tmp_path / "list" / "seed_0"),
    }


def test_a_run_by_itself_and_old_configs(tmp_path):
    """Without seed_<n> the folder's own name counts; configs from before the distortions are not distorted."""
    folder = write_run(tmp_path / "mine")
    (folder / "config.json").write_text(json.dumps({"seed": 0, "data": {"name": "digits"}}))
    (group,) = aggregate.aggregate([folder]).groups
    assert (group.method, group.distortion, group.runs[0].seeds) == ("mine", "1-0.0", (0, 0))


@pytest.mark.parametrize(("noise", "expected"), [(0.25, "1-0.25"), (0.1, "1-0.1"), (0, "1-0.0")])
def test_distortion(tmp_path, noise, expected):
    write_run(tmp_path / "mine", noise=noise)
    assert aggregate.aggregate([tmp_path]).groups[0].distortion == expected


def test_table(runs, capsys):
    results_table.show([runs])
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if "SEP_BOTH" in line)
    cells = [cell.strip() for cell in line.split("│")[2:-1]]
    assert cells == ["SEP_BOTH", "3", "17.00 ± 2.65", "83.00 ± 2.65", "82.00 ± 2.65", "85.00 ± 2.65"]
    assert printed.count("10-0.3") == 1
    assert "not honest" in printed
    assert f"not counted, 1 not complete: {runs / 'a' / 'plain' / 'seed_1'}\n" in printed


def test_metrics(runs):
    groups = aggregate.aggregate([runs]).groups
    keys = {
        m: [c.key for c in results_table.columns(groups, m)] for m in ("test_top1", "test_nll", "best_on_test_top1")
    }
    assert keys["test_top1"] == ["test_error", "test_top1", "chosen_top1", "best_on_test_top1"]
    assert keys["test_nll"] == ["test_error", "test_nll", "chosen_nll"]
    assert keys["best_on_test_top1"] == ["test_error", "best_on_test_top1"]
    assert "not honest" in results_table.columns(groups, "best_on_test_top1")[1].title
    with pytest.raises(UsageError, match=r"unknown metric 'test_top': did you mean 'test_top1'"):
        results_table.columns(groups, "test_top")
    with pytest.raises(UsageError, match="unknown metric 'reliability'"):
        results_table.columns(groups, "reliability")


def test_a_figure_that_some_runs_lack(tmp_path):
    for seed in (0, 1):
        folder = write_run(tmp_path / "plain" / f"seed_{seed}", seed)
    (folder / "result.json").write_text(json.dumps({"test_top1": 0.9, "occlusion_error": 0.25}))
    groups = aggregate.aggregate([tmp_path]).groups
    columns = results_table.columns(groups, "occlusion_error")
    cells = [list(column.cells) for column in results_table.table(groups, columns).columns]
    assert cells[-1] == ["25.00 (n=1)"]
    assert results_table.records(groups, columns)[0]["occlusion_error_std"] is None


def test_files(runs, tmp_path):
    results_table.show([runs], csv_file=tmp_path / "runs.csv", json_file=tmp_path / "runs.json")
    expected = {
        "test_error_mean": 1 - statistics.fmean(TOP1.values()),
        "test_error_std": statistics.stdev(TOP1.values()),
    }
    with (tmp_path / "runs.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["method"] for line in lines] == [group.method for group in aggregate.aggregate([runs]).groups]
    assert lines[5]["seeds"] == "0 1 2"
    assert lines[0]["test_error_std"] == ""
    found = json.loads((tmp_path / "runs.json").read_text())
    for name, value in expected.items():
        assert float(lines[5][name]) == pytest.approx(value)
        assert found["groups"][5][name] == pytest.approx(value)
    assert found["groups"][5]["runs"][2] == {
        "folder": str(runs / "b" / "SEP_BOTH" / "seed_2"),
        **{"test_error": 1 - 0.85, "test_top1": 0.85, "chosen_top1": 0.85 - 0.01, "best_on_test_top1": 0.85 + 0.02},
    }
    assert found["not_counted"] == {"not complete": [str(runs / "a" / "plain" / "seed_1")]}


def test_mistakes(tmp_path, capsys):
    write_run(tmp_path / "begun", complete=False)
    for arguments, message in (
        ([str(tmp_path / "none")], "is not a folder"),
        ([str(tmp_path)], f"no complete run .* in {tmp_path}; runs there: 1 not complete, for example .*begun"),
        ([str(tmp_path / "begun" / "..")], "no complete run"),
    ):
        with pytest.raises(UsageError, match=message):
            aggregate.aggregate(arguments)
        assert command.main(["results", *arguments]) == 2
        assert capsys.readouterr().err.startswith("error: ")
    write_run(tmp_path / "done")
    assert command.main(["results", str(tmp_path), "--csv", str(tmp_path / "no" / "runs.csv")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_the_command(runs):
    """As a user calls it; it does not wait for JAX to be imported."""
    code = "import sys, runpy; sys.argv = ['jaxaug', *sys.argv[1:]]; runpy.run_module('jaxaug', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, "results", str(runs), "--metric=test_nll"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "negative" in done.stdout
    assert not any(line.endswith(" jax") for line in done.stderr.splitlines())
