"""What the end of a training proposes: commands that exist, as they can be typed where the person stands."""

import pathlib
import shlex
import sys

import pytest

from jaxaug.cli import main as commands
from jaxaug.cli.next_steps import command, next_steps


def test_every_proposed_command_is_one(tmp_path, monkeypatch, capsys):
    """It parses, and only what is to be filled in, or is not there, stands in its way."""
    monkeypatch.chdir(tmp_path)
    first, *lines = next_steps("runs/x-1", "runs/x-1/isda/seed_0").splitlines()
    assert first == "next:"
    for line in lines:
        words = shlex.split(line.partition("#")[0].removeprefix(f"  {command()} "))
        assert words[0] in commands.COMMANDS
        assert any(word.startswith("runs") for word in words[1:])
        assert commands.main(words) == commands.MISTAKE
        assert "unknown" not in capsys.readouterr().err


@pytest.mark.parametrize("found", [True, False])
def test_the_command_is_this_environment_s(found, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    own = pathlib.Path(sys.executable)
    monkeypatch.setattr("shutil.which", lambda name: str(own.parent / name) if found else f"/elsewhere/{name}")
    assert command() == ("jaxaug" if found else f"{own} -m jaxaug")
    monkeypatch.chdir(own.parent.parent)
    assert found or command() == f"bin/{own.name} -m jaxaug"
