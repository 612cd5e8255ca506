"""The commands: what they accept, and mistakes told in one line."""

import sys

import pytest

from jaxaug.cli import main as module
from jaxaug.cli.main import COMMANDS, main
from jaxaug.core.errors import Interrupted, LostProcessError, UsageError


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """What a test makes importable is forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def answering(monkeypatch):
    """`answering(error)`: the command "results" raises it."""

    def answer(error):
        def run(chosen, others):
            raise error

        monkeypatch.setattr(COMMANDS["results"], "run", run)

    return answer


def test_a_mistake_is_one_line_and_status_2(answering, capsys):
    answering(UsageError("do this instead"))
    assert main(["results", "x"]) == module.MISTAKE == 2
    assert capsys.readouterr().err == "error: do this instead\n"


def test_a_stopped_run_is_no_mistake(answering, capsys):
    answering(Interrupted("stopped as asked"))
    assert main(["results", "x"]) == module.STOPPED == 3
    assert capsys.readouterr().err == "\nstopped as asked\nThe same command goes on from there.\n"


def test_only_one_process_tells_that_all_have_stopped(answering, capsys):
    answering(Interrupted())
    assert main(["results", "x"]) == module.STOPPED
    assert capsys.readouterr().err == ""


def test_a_lost_process_has_a_status_of_its_own(answering, capsys):
    answering(LostProcessError("another process is gone"))
    assert main(["results", "x"]) == module.LOST == 4
    assert capsys.readouterr().err == "error: another process is gone\n"


@pytest.mark.parametrize("command", ["results", "evaluate", "plots", "predict"])
def test_a_setting_with_a_space_is_no_run(command, monkeypatch):
    """argparse would take it for the folder."""
    seen = []
    monkeypatch.setattr(COMMANDS[command], "run", lambda chosen, others: seen.append((vars(chosen), others)))
    positional = {"results": ["a b"], "evaluate": ["my run"], "plots": [], "predict": ["my run", "my images"]}[command]
    settings = ["--data.path=my photos", "--config.loss=a, b", "--config.loss.a.gamma=1", "--config.data.path=x y"]
    assert main([command, *settings[:2], *positional, *settings[2:]]) == 0
    (chosen, others) = seen[0]
    assert others == settings  # in their order, as a later one may be about what an earlier one put there
    assert not any("=" in str(value) for value in chosen.values())


def test_home(monkeypatch):
    """No shell knows it after an equals sign; a folder called ~ would be made."""
    seen = []
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(COMMANDS["train"], "run", lambda chosen, others: seen.append((chosen.workdir, others)))
    assert main(["train", "--config=smoke", "--workdir=~/runs", "--config.data.path=~/p", "--config.model=~x"]) == 0
    assert seen == [("/home/me/runs", ["--config.data.path=/home/me/p", "--config.model=~x"])]


def test_other_errors_are_not_hidden(answering):
    answering(ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError, match="ours"):
        main(["results", "x"])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert COMMANDS[name].__doc__.split()[0] in told
    assert "3, stopped as asked" in " ".join(told.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_fit_for_scripts(name, capsys):
    """--quiet and --json, said in its help."""
    with pytest.raises(SystemExit):
        main([name, "--help"])
    told = capsys.readouterr().out
    assert "[--quiet]" in told
    assert "[--json]" in told


@pytest.mark.parametrize("arguments", [[], ["trian"]])
def test_no_or_an_unknown_command(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "train" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results", "x", "--fast"], "unknown arguments --fast: --help tells what there is"),
        (["plots", "x", "--fast", "y"], "unknown arguments --fast y"),
        (["options", "loss", "isda", "more"], "unknown arguments more"),
        (["augment", "--policy=randaugment", "--image=x"], "unknown arguments --image=x"),
        (["augment", "--policy=randaugment"], "say --images=FOLDER and --out=FOLDER, or --plot=FILE.png"),
        (["augment", "--policy=randaugment", "--images=x"], "say --images=FOLDER and --out=FOLDER"),
        (["augment", "--policy=randaugmen", "--plot=x.png"], "did you mean 'randaugment'"),
        (
            ["augment", "--policy=affine", "--magnitude=3", "--plot=x.png"],
            "affine has no magnitude: leave it out; auto",
        ),
        (["options", "losses"], "unknown family 'losses': did you mean 'loss'"),
        (["options", "loss", "isd"], "unknown loss 'isd': did you mean 'isda'"),
        (["results", "nowhere"], "nowhere"),
        (["plots", "nowhere"], "nowhere is not the folder of a run"),
        (["train", "--config=nowhere.py"], "there is no config nowhere.py"),
    ],
)
def test_mistakes(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))  # else a command sets the one of users
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert message in told


def test_the_preset_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    file = tmp_path / "policy.png"
    assert main(["augment", "--policy=randaugment", "--num_layers=1", f"--plot={file}"]) == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    assert f"the policy is drawn in {file}" in capsys.readouterr().out
