"""The table of many runs: what it says, for which metrics, and what is written to files."""

import csv
import json
import statistics
import subprocess
import sys

import pytest
from helpers.run_folders import TOP1, write_run, write_runs
from helpers.settings import ROOT

from jaxaug.analysis import results_table
from jaxaug.analysis.aggregate import aggregate
from jaxaug.cli import main as command
from jaxaug.core.errors import UsageError


@pytest.fixture
def runs(tmp_path):
    return write_runs(tmp_path)


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
    groups = aggregate([runs]).groups
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


def test_runs_without_test_rows(runs):
    """What is called test in their figures is of validation rows."""
    groups = aggregate([runs]).groups
    for group in groups:
        for run in group.runs:
            run.result["reported_on"] = "validation"
    titles = [column.title for column in results_table.columns(groups)]
    assert titles[0] == "validation error %"
    assert "best on validation:" in titles[-1]


def test_runs_of_a_task_without_top1(tmp_path):
    """No column of an error that no run has."""
    folder = write_run(tmp_path / "plain" / "seed_0")
    (folder / "result.json").write_text(json.dumps({"test_mean_iou": 0.9, "chosen_mean_iou": 0.8}))
    groups = aggregate([tmp_path]).groups
    columns = results_table.columns(groups, "test_mean_iou")
    assert [column.key for column in columns] == ["test_mean_iou", "chosen_mean_iou"]


def test_label_maps(tmp_path, capsys):
    """The IoU of each class below the table, and the main metric without asking for it."""
    for seed, car in enumerate((0.5, 0.7)):
        folder = write_run(tmp_path / "plain" / f"seed_{seed}", seed)
        classes = {"car": car, "tree": 0.25 if seed else None}
        result = {"test_pixel_accuracy": 0.9, "test_miou": car, "best_on_test_miou": car, "class_iou": classes}
        (folder / "result.json").write_text(json.dumps(result))
    results_table.show([tmp_path])
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    assert ["car", "60.00 ± 14.14"] in rows
    assert ["tree", "25.00"] in rows
    assert "60.00 ± 14.14" in rows[0][3]
    assert "mIoU %" in printed
    results_table.show([tmp_path], style="json")
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert group["class_iou_mean"] == {"car": pytest.approx(0.6), "tree": 0.25}
    assert group["class_iou_std"]["tree"] is None


def test_a_figure_that_some_runs_lack(tmp_path):
    for seed in (0, 1):
        folder = write_run(tmp_path / "plain" / f"seed_{seed}", seed)
    (folder / "result.json").write_text(json.dumps({"test_top1": 0.9, "occlusion_error": 0.25}))
    groups = aggregate([tmp_path]).groups
    columns = results_table.columns(groups, "occlusion_error")
    cells = [list(column.cells) for column in results_table.table(groups, columns).columns]
    assert cells[-1] == ["25.00 (n=1)"]
    assert results_table.records(groups, columns)[0]["occlusion_error_std"] is None


def test_programs_read_it(runs, tmp_path, capsys):
    """CSV and JSON, unscaled; JSON with the figures of each run."""
    expected = {
        "test_error_mean": 1 - statistics.fmean(TOP1.values()),
        "test_error_std": statistics.stdev(TOP1.values()),
    }
    results_table.show([runs], out=tmp_path / "runs.csv")
    with (tmp_path / "runs.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["method"] for line in lines] == [group.method for group in aggregate([runs]).groups]
    assert lines[5]["seeds"] == "0 1 2"
    assert lines[0]["test_error_std"] == ""
    capsys.readouterr()
    assert command.main(["results", str(runs), "--json"]) == 0
    printed = capsys.readouterr()
    assert "not counted" in printed.err
    found = json.loads(printed.out)
    for name, value in expected.items():
        assert float(lines[5][name]) == pytest.approx(value)
        assert found["groups"][5][name] == pytest.approx(value)
    assert found["groups"][5]["runs"][2] == {
        "folder": str(runs / "b" / "SEP_BOTH" / "seed_2"),
        **{"test_error": 1 - 0.85, "test_top1": 0.85, "chosen_top1": 0.85 - 0.01, "best_on_test_top1": 0.85 + 0.02},
    }
    assert found["not_counted"] == {"not complete": [str(runs / "a" / "plain" / "seed_1")]}


@pytest.mark.parametrize(
    ("style", "line"),
    [
        ("markdown", "|  | SEP_BOTH | 3 | 17.00 ± 2.65 | 83.00 ± 2.65 | 82.00 ± 2.65 | 85.00 ± 2.65 |"),
        ("latex", r" & SEP\_BOTH & 3 & 17.00 $\pm$ 2.65 & 83.00 $\pm$ 2.65 & 82.00 $\pm$ 2.65 & 85.00 $\pm$ 2.65 \\"),
        ("text", "SEP_BOTH"),
        ("csv", "digits,10,0.3,SEP_BOTH,,3,0 1 2,0.17"),
    ],
)
def test_documents_hold_it(runs, tmp_path, capsys, style, line):
    """Printed and in a file the same, except that a terminal may be wider than a file."""
    assert command.main(["results", str(runs), f"--format={style}", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert not printed.err
    file = tmp_path / f"table{results_table.STYLES[style]}"
    assert command.main(["results", str(runs), f"--out={file}"]) == 0
    assert f"the table is in {file}" in capsys.readouterr().out
    for text in (printed.out, file.read_text()):
        assert line in text
    if style in ("markdown", "latex"):
        assert printed.out == file.read_text()
        assert "mean ± standard deviation over seeds" in printed.out


def test_mistakes(tmp_path, capsys):
    write_run(tmp_path / "begun", complete=False)
    for folder in (tmp_path / "none", tmp_path, tmp_path / "begun" / ".."):
        with pytest.raises(UsageError):
            results_table.show([folder])
        assert command.main(["results", str(folder)]) == 2
        assert capsys.readouterr().err.startswith("error: ")
    write_run(tmp_path / "done")
    with pytest.raises(UsageError, match="cannot be written"):
        results_table.show([tmp_path], out=tmp_path / "no" / "runs.csv")
    assert command.main(["results", str(tmp_path), "--out", str(tmp_path / "no" / "runs.csv")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    for argument, told in (("--format=html", "unknown format 'html'"), ("--out=table.doc", "ends in .txt, .md, .csv")):
        assert command.main(["results", str(tmp_path), argument]) == 2
        assert told in capsys.readouterr().err


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
