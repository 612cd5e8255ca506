"""What a config may choose, as the command lists it."""

import json
import sys

import pytest

from jaxaug.cli.main import main
from jaxaug.core.registry import FAMILIES, list_names, options_of, resolve
from jaxaug.train.config import default_config


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """What a test makes importable is forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def printed(capsys):
    def of(*arguments):
        assert main(["options", *arguments]) == 0
        return capsys.readouterr().out

    return of


def test_families(printed):
    lines = printed().splitlines()
    assert len(lines) == len(FAMILIES)
    for line, (family, (_, what)) in zip(lines, FAMILIES.items(), strict=True):
        assert line.startswith(f"{family} ({what}): ")
        assert line.endswith(", ".join(list_names(family)))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_components_of_a_family_with_their_first_lines(printed, family):
    lines = printed(family).splitlines()
    assert [line.partition(":")[0] for line in lines] == list_names(family)
    assert all(line.partition(": ")[2] for line in lines)


def test_programs_read_it(printed):
    """--json says the same in values, whatever is asked for."""
    assert json.loads(printed("--json"))["loss"]["names"] == list_names("loss")
    assert list(json.loads(printed("loss", "--json"))) == list_names("loss")
    told = json.loads(printed("loss", "isda", "--json", "--quiet"))
    assert told["name"] == "isda"
    assert {"name", "default", "meaning"} == set(told["options"][0])
    assert [one["name"] for one in told["options"]] == [one.name for one in options_of(resolve("loss", "isda"))]
    told = json.loads(printed("config", "--json"))
    assert {one["name"]: one["default"] for one in told["options"]}["epochs"] == 30
    for family in FAMILIES:
        for name in list_names(family):
            json.loads(printed(family, name, "--json"))


def test_the_options_of_a_component(printed):
    text = printed("loss", "isda")
    assert text.startswith("isda: ")
    for option in options_of(resolve("loss", "isda")):
        assert f"  {option.name} = {option.default!r}  {option.meaning}\n" in text


@pytest.mark.parametrize(("family", "name", "shared"), [("data", "digits", "noise"), ("optimizer", "sgd", "clip")])
def test_what_all_of_a_family_take_besides(printed, family, name, shared):
    assert f"  {shared} = 0.0  " in printed(family, name)


def test_the_fields_of_a_config(printed):
    """Each with its meaning; those of a group by their address."""
    lines = printed("config").splitlines()[1:]
    told = dict(line.strip().split(" = ", 1) for line in lines)
    assert told["epochs"].startswith("30  passes over the training rows")
    assert told["augment.size"].startswith("0  side of the square")
    assert {name.partition(".")[0] for name in told} == set(default_config())
    assert all(len(value.split("  ", 1)) == 2 for value in told.values())


def test_one_field_or_a_group(printed, capsys):
    assert printed("config", "epochs").splitlines()[1:] == [
        "  epochs = 30  passes over the training rows, or over those that the task counts"
    ]
    names = [line.split(" = ")[0].strip() for line in printed("config", "mesh").splitlines()[1:]]
    assert names == ["mesh.data", "mesh.fsdp"]
    assert main(["options", "config", "epoch"]) != 0
    assert "unknown field 'epoch': did you mean 'epochs'" in capsys.readouterr().err


def test_an_option_of_both_is_listed_once(printed):
    names = [line.split(" = ")[0].strip() for line in printed("data", "folder").splitlines()[1:]]
    assert len(names) == len(set(names))
    assert "cut, of the rows and labels that are kept" in printed("data", "folder")


def test_a_component_of_ones_own(printed, tmp_path, monkeypatch):
    (tmp_path / "own_loss_of_a_test.py").write_text(
        'def margin(size=1.0):\n    """A margin.\n\n    Args:\n      size: of it.\n    """\n'
    )
    monkeypatch.chdir(tmp_path)
    text = printed("loss", "own_loss_of_a_test.margin")
    assert text == "own_loss_of_a_test.margin: A margin.\n  size = 1.0  of it\n"
    del sys.modules["own_loss_of_a_test"]
