"""The settings of `jaxaug train`, and where a run goes that says nothing of it."""

import os
import pathlib
import re
import sys
import textwrap

import pytest

from jaxaug.analysis import run_report
from jaxaug.cli.main import main
from jaxaug.cli.train import read_config
from jaxaug.core import cluster
from jaxaug.core.errors import UsageError
from jaxaug.train import sweep

CONFIG = """
from jaxaug.train import default_config


def get_config(word="digits"):
    config = default_config()
    config.data.name = word
    config.loss = ("label_smoothing",)
    return config
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """What a test makes importable is forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(textwrap.dedent(CONFIG))
    return str(path)


def test_settings_come_in_order_but_a_component_before_its_options(file):
    settings = ["--config.loss=isda,label_smoothing", "--config.loss.isda.strength=0.25", "--config.epochs", "3"]
    config = read_config(f"{file}:mnist", [*settings, "--config.epochs=4", "--config.data.directory=a=b"])
    assert config.data.to_dict() == {"name": "mnist", "directory": "a=b"}
    assert config.loss == ({"name": "isda", "strength": 0.25}, {"name": "label_smoothing"})
    assert config.epochs == 4
    before = ["--config.data.path=rows.npz", "--config.loss.isda.strength=0.25", "--config.loss=isda"]
    config = read_config(f"{file}:mnist", [*before, "--config.data.name=npz", "--config.data.path=others.npz"])
    assert config.data.to_dict() == {"name": "npz", "path": "others.npz"}
    assert config.loss == ({"name": "isda", "strength": 0.25},)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["epochs=3"], r"unknown argument 'epochs': settings look like --config\.epochs=10"),
        (["--epochs=3"], r"unknown argument '--epochs': settings look like"),
        (["--config.epochs"], r"--config\.epochs needs a value: --config\.epochs=\.\.\."),
        (["--config.epohcs=3"], r"unknown setting config\.epohcs: did you mean 'epochs'"),
        (["--config.loss.isda.strength=1"], r"config\.loss has no 'isda': it has label_smoothing; put it in with"),
    ],
)
def test_mistakes(file, settings, message):
    with pytest.raises(UsageError, match=message):
        read_config(file, settings)


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """(config, workdir, what is to be done on a change) of runs that would have begun; how processes were joined."""
    runs, joined = [], []

    def run(config, workdir, on_change):
        runs.append((config, workdir, on_change))
        return {"convnet": []}

    monkeypatch.setattr(sweep, "run", run)
    monkeypatch.setattr(cluster, "initialize_distributed", lambda *arguments, heartbeat: joined.append(arguments))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    return runs, joined


def test_a_default_folder_tells_settings_apart(file, begun):
    runs, _ = begun
    for settings in ([], ["--config.epochs=3"], ["--config.epochs=3"], ["--config.optim.momentum=0.5"]):
        assert main(["train", f"--config={file}:digits", *settings]) == 0
    folders = [workdir for _, workdir, _ in runs]
    assert all(re.fullmatch(r"runs/one-[0-9a-f]{6}", folder) for folder in folders)
    assert folders[1] == folders[2]
    assert len(set(folders)) == 3
    assert runs[1][0].epochs == 3


def test_a_folder_and_other_processes(file, begun):
    runs, joined = begun
    processes = ["--coordinator=host:1", "--num_processes=2", "--process_id=1"]
    assert main(["train", f"--config={file}", "--workdir=x", *processes]) == 0
    assert main(["train", f"--config={file}"]) == 0
    assert runs[0][1:] == ("x", "refuse")
    assert joined == [("host:1", 2, 1), ("", 0, -1)]


def test_the_page_at_the_end(file, begun, monkeypatch, tmp_path, capsys):
    """It is written unless it is newer than the results; what goes wrong with it is told, and no failure."""
    written = []
    monkeypatch.setattr(run_report, "write_report", lambda folder: written.append(folder) or folder / "report.html")
    arguments = ["train", f"--config={file}", f"--workdir={tmp_path / 'runs'}"]
    assert main([*arguments, "--noreport"]) == 0
    assert not written
    assert main(arguments) == 0
    assert written == [tmp_path / "runs"]
    assert f"report: {tmp_path / 'runs' / 'report.html'}" in capsys.readouterr().out
    result = tmp_path / "runs" / "convnet" / "seed_0" / "result.json"
    result.parent.mkdir(parents=True)
    for file_ in (result, tmp_path / "runs" / "report.html"):
        file_.write_text("{}")
    assert main(arguments) == 0
    assert len(written) == 1
    os.utime(tmp_path / "runs" / "report.html", (0, 0))
    monkeypatch.setattr(run_report, "write_report", lambda folder: {}["missing"])
    assert main(arguments) == 0
    assert "no report: 'missing'" in capsys.readouterr().out


def test_an_address_is_worked_on_in_a_folder(file, begun, monkeypatch, tmp_path):
    """Which is there before the run, and is copied after it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["train", f"--config={file}", f"--workdir=file://{tmp_path}/bucket/x", "--noreport"]) == 0
    folder = pathlib.Path(begun[0][0][1])
    assert folder.parent == tmp_path / ".cache" / "jaxaug" / "mirrors"
    assert folder.name.startswith("x-")
    (folder / "table.json").write_text("{}")
    assert main(["train", f"--config={file}", f"--workdir=file://{tmp_path}/bucket/x", "--noreport"]) == 0
    assert (tmp_path / "bucket" / "x" / "table.json").read_text() == "{}"


def test_what_to_do_on_a_change(file, begun, capsys):
    runs, _ = begun
    for flag in ("--restart", "--accept_inputs"):
        assert main(["train", f"--config={file}", flag]) == 0
    assert [on_change for _, _, on_change in runs] == ["restart", "accept"]
    with pytest.raises(SystemExit):
        main(["train", f"--config={file}", "--restart", "--accept_inputs"])
    assert "not allowed with" in capsys.readouterr().err
