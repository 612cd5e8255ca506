"""Names of a config: members of a family, files of one's own, options with default and meaning, hints."""

import dataclasses
import sys
import textwrap

import flax.linen as nn
import pytest
from flax import nnx

from jaxaug.core import registry
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import (
    FAMILIES,
    Option,
    call,
    check_options,
    defaults_of,
    hint,
    instantiate,
    list_names,
    options_of,
    pick,
    register,
    resolve,
    slot_name,
    slot_options,
)


@pytest.fixture(autouse=True)
def tables(monkeypatch, tmp_path):
    """What a test registers, or imports from its folder, is forgotten after it."""
    for family in FAMILIES:
        list_names(family)  # modules of jaxaug register once, when they are imported
    monkeypatch.setattr(registry, "_TABLES", {family: dict(table) for family, table in registry._TABLES.items()})
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def beside(tmp_path):
    """Writes a module into an importable folder."""
    sys.path.insert(0, str(tmp_path))

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))

    return write


def test_a_component_is_known_where_it_is_written():
    @register("loss")
    def fewer(strength: float = 0.5):
        return ("fewer", strength)

    @register("loss", "more")
    def another(strength=1.0):
        return ("more", strength)

    assert resolve("loss", "fewer") is fewer
    assert resolve("loss", "more") is another
    assert {"fewer", "more", "isda"} <= set(list_names("loss"))
    assert list_names("loss") == sorted(list_names("loss"))
    assert instantiate("loss", "fewer") == ("fewer", 0.5)
    assert instantiate("loss", {"name": "more", "strength": 2}) == ("more", 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_members(family):
    for name in list_names(family):
        assert callable(resolve(family, name))
    assert list_names(family)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("isd", r"unknown loss 'isd': did you mean 'isda'\?"),
        ("smoothing", r"unknown loss 'smoothing': did you mean 'label_smoothing'\?"),
        ("", r"unknown loss '': valid names are .*isda"),
        ("zzz", r"unknown loss 'zzz': valid names are .*isda"),
        ("jaxaug.losses", r"'jaxaug\.losses' is not a function that returns a LossTransform"),
        ("jaxaug.losses.isd", r"unknown loss 'jaxaug\.losses\.isd'"),
        (
            "nowhere.margin",
            r"unknown loss 'nowhere\.margin': there is no module 'nowhere'; it must lie beside the config",
        ),
        ("helpers.nowhere.margin", r"there is no module 'helpers\.nowhere'"),
        ("helpers.broken_package.loss", r"'helpers\.broken_package' cannot be imported: .*nowhere_at_all"),
    ],
)
def test_names_that_stand_for_nothing(name, message):
    with pytest.raises(UsageError, match=message):
        resolve("loss", name)


def test_a_package_that_cannot_be_imported_says_so_each_time(monkeypatch, tmp_path):
    (tmp_path / "halved").mkdir()
    (tmp_path / "halved" / "__init__.py").write_text("")
    (tmp_path / "halved" / "part.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(FAMILIES, "loss", ("halved", "a loss"))
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_library"):
            registry.list_names("loss")


def test_unknown_family():
    with pytest.raises(UsageError, match="unknown family 'losses': did you mean 'loss'"):
        resolve("losses", "isda")


def test_registering_in_an_unknown_family():
    with pytest.raises(UsageError, match="unknown family 'losses': did you mean 'loss'"):
        registry.register("losses")


def test_dotted_names(beside):
    """The attribute of a module, registered or not."""
    beside("own_parts", "def margin(size=1.0):\n    return size\n\nnumber = 3\n")
    assert instantiate("loss", {"name": "own_parts.margin", "size": 2.0}) == 2.0
    with pytest.raises(UsageError, match=r"'own_parts\.number' is not a function that returns"):
        resolve("loss", "own_parts.number")
    with pytest.raises(UsageError, match=r"unknown loss 'own_parts\.margins'"):
        resolve("loss", "own_parts.margins")


def test_a_file_with_one_component_is_called_by_its_name(beside):
    beside(
        "own_margin",
        """
        from jaxaug.core.registry import register

        def helper(): ...

        @register("loss")
        def margin(size=1.0):
            return size
        """,
    )
    assert instantiate("loss", {"name": "own_margin", "size": 3.0}) == 3.0
    assert resolve("loss", "own_margin") is resolve("loss", "margin")
    beside("plain_margin", "def helper(): ...\n\ndef plain_margin(size=1.0):\n    return size\n")
    assert instantiate("loss", "plain_margin") == 1.0
    beside("two_parts", "def one(): ...\n\ndef two(): ...\n")
    with pytest.raises(UsageError, match="unknown loss 'two_parts'"):
        resolve("loss", "two_parts")
    beside("half_done", "import nowhere_at_all\n")
    with pytest.raises(UsageError, match=r"loss 'half_done' cannot be imported: .*nowhere_at_all"):
        resolve("loss", "half_done")


def test_slots():
    assert slot_name("isda") == slot_name({"name": "isda", "strength": 1.0}) == "isda"
    assert (slot_options("isda"), slot_options({"name": "isda", "strength": 1.0})) == ({}, {"strength": 1.0})
    assert slot_name({"strength": 1.0}) == ""
    for wrong in (3, ("isda",), None, {"name": 3}):
        with pytest.raises(UsageError, match=r"a component is a name or \{'name': \.\.\., option: value\}, got"):
            slot_name(wrong)


def test_options_that_are_missing_or_unknown():
    def needs(data, level, *, size, color="red"):
        return data, level, size, color

    given = {"options": {"size": 2}, "level": 1}
    assert call("part", needs, "d", **given) == ("d", 1, 2, "red")
    with pytest.raises(UsageError, match=r"^part needs a value for 'size'$"):
        call("part", needs, "d", options={"level": 1})
    with pytest.raises(UsageError, match=r"^part needs a value for 'data', 'level', 'size'$"):
        call("part", needs, options={})
    with pytest.raises(UsageError, match=r"^unknown option 'colour' of part: did you mean 'color'\?$"):
        call("part", needs, "d", 1, options={"size": 2, "colour": "blue"})
    with pytest.raises(UsageError, match=r"^unknown option 'x' of part: it has none$"):
        check_options("part", lambda: None, ["x"])
    check_options("part", lambda **options: None, ["whatever"])


class Linen(nn.Module):
    """A network.

    Attributes:
      num_classes: how many.
      width: of a layer.
    """

    num_classes: int
    width: int = 8


class Nnx(nnx.Module):
    """A network.

    Args:
      width: of a layer.
    """

    def __init__(self, num_classes, width: int = 8, *, rngs):
        self.width = width


@dataclasses.dataclass
class Search:
    """A search.

    Attributes:
      every, start: steps between two, and the first.
      rate: its size. It is above 0.
    """

    every: int = 2
    start: int = 0
    rate: float = 0.1
    hidden: float = dataclasses.field(default=0.0, init=False)


def test_options_are_read_from_signature_and_docstring():
    def part(strength: float = 0.5, fill: str = "zero", *, axis="", plain=1):
        """A part.

        Args:
          strength: at least 0; over
            two lines. Not this sentence.
          fill (str): with a colon: kept, e.g. 0.5 stays.
          axis: of a mesh.

        Returns:
          fill: not this one.
        """

    assert options_of(part) == [
        Option("strength", 0.5, "at least 0; over two lines"),
        Option("fill", "zero", "with a colon: kept, e.g. 0.5 stays"),
        Option("axis", "", "of a mesh"),
        Option("plain", 1, ""),
    ]
    assert options_of(Search) == [
        Option("every", 2, "steps between two, and the first"),
        Option("start", 0, "steps between two, and the first"),
        Option("rate", 0.1, "its size"),
    ]
    for model in (Linen, Nnx):
        assert options_of(model) == [Option("width", 8, "of a layer")]
        assert defaults_of(model) == {"width": 8}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_option_has_its_line_of_meaning(family):
    """What `jaxaug options` shows."""
    for name in list_names(family):
        missing = [option.name for option in options_of(resolve(family, name)) if not option.meaning]
        assert not missing, f"{family} {name!r}"


def test_pick_and_hint():
    choices = {"epoch": 1, "step": 2, "constant": 3}
    assert pick("schedule", "step", choices) == 2
    with pytest.raises(UsageError, match=r"^unknown schedule 'steps': did you mean 'step'\?$"):
        pick("schedule", "steps", choices)
    assert hint("epoch_", list(choices)) == "did you mean 'epoch'?"
    assert hint("const", list(choices)) == "did you mean 'constant'?"
    assert hint("x", list(choices)) == "valid names are epoch, step, constant"
    assert hint("x", []) == "it has none"
    assert hint("steap", ["step", "steep", "epoch"]) == "did you mean 'step' or 'steep'?"
