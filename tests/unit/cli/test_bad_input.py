"""Folders that are not what a command asks for: one line that says so, and what is asked for."""

import json
import re

import pytest

from jaxaug.cli.main import MISTAKE, main

OF_A_RUN = {
    "evaluate": ["evaluate", "RUN"],
    "predict": ["predict", "RUN", "images"],
    "export": ["export", "RUN", "--out=x"],
    "plots": ["plots", "RUN"],
    "report": ["report", "RUN"],
}
NO_RUN = r"is (not|neither) the folder of a run"
RUNS = {
    **{"nowhere": NO_RUN, "empty": NO_RUN, "images": NO_RUN},
    "newer": r"is no config of this version of jaxaug: unknown field config\.since_then.*; use the version that",
    "damaged": r"config\.json cannot be read",
}
OTHERS = {
    "results of nothing": (["results", "empty"], "no complete run"),
    "errors in nothing": (["label-errors", "empty"], "has no folders: images are looked for in"),
    "augment nothing": (["augment", "--policy=randaugment", "--images=empty", "--out=out"], "no image in empty"),
    "train on nothing": (
        ["train", "--config=smoke", "--config.data=folder", "--config.data.path=empty", "--workdir=out"],
        "it must hold a folder of images for each class",
    ),
    "convert nothing": (["convert", "empty", "--model=resnet18", "--out=x.npz"], "empty"),
}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Below where the commands are called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))  # else a command sets the one of users
    for name in ("empty", "images", "newer", "damaged"):
        (tmp_path / name).mkdir()
    (tmp_path / "images" / "note.txt").write_text("no image")
    (tmp_path / "newer" / "config.json").write_text(json.dumps({"since_then": 1}))
    (tmp_path / "damaged" / "config.json").write_text('{"epochs": ')


@pytest.mark.parametrize("folder", RUNS)
@pytest.mark.parametrize("command", OF_A_RUN)
def test_what_is_no_run(command, folder, capsys):
    assert main([folder if word == "RUN" else word for word in OF_A_RUN[command]]) == MISTAKE
    told(capsys, RUNS[folder])


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_empty(case, capsys):
    arguments, message = OTHERS[case]
    assert main(arguments) == MISTAKE
    told(capsys, message)


def told(capsys, message):
    """One message, on one line."""
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert said.startswith("error: ")
    assert said.count("\n") == 1
