"""What the end of a training proposes: commands that exist, as they can be typed where the person stands."""

import shlex
import sys

from jaxaug.cli import main as commands
from jaxaug.cli.next_steps import command, next_steps


def test_every_proposed_command_is_one(tmp_path, monkeypatch, capsys):
    """It parses, and only what is to be filled in, or is not there, stands in its way."""
    monkeypatch.chdir(tmp_path)
    first, run, *lines = next_steps("runs/x-1", "runs/x-1/isda/seed_0").splitlines()
    assert (first, run) == ("next:", "  RUN=runs/x-1/isda/seed_0")
    for line in lines:
        words = shlex.split(line.partition("#")[0].removeprefix(f"  {command()} ").replace("$RUN", "runs/x-1"))
        assert words[0] in commands.COMMANDS
        assert any(word.startswith("runs") for word in words[1:])
        assert commands.main(words) == commands.MISTAKE
        assert "unknown" not in capsys.readouterr().err


def test_the_command_is_this_environment_s(monkeypatch, tmp_path):
    """By its name where a shell finds it, else by its path; by Python's where it was not installed."""
    own = tmp_path / "bin"
    own.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    monkeypatch.setattr("shutil.which", lambda name: f"/elsewhere/{name}")
    assert command() == "bin/python -m jaxaug"
    (own / "jaxaug").touch()
    assert command() == "bin/jaxaug"
    monkeypatch.chdir(own)
    assert command() == "./jaxaug"
    monkeypatch.setattr("shutil.which", lambda name: str(own / name))
    assert command() == "jaxaug"
