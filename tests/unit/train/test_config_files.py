"""Files of configs: what stands after the colon, a component beside one, and mistakes."""

import sys
import textwrap

import pytest
from helpers.settings import ROOT
from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.train import config_files
from jaxaug.train.config import apply_override, complete
from jaxaug.train.config_files import load_config_file


@pytest.fixture(autouse=True)
def forget(monkeypatch, tmp_path):
    """What a test makes importable, and imports from its folder, is forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def written(folder, text, name="one"):
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_a_config_and_the_word_after_the_colon(tmp_path):
    text = """
        from jaxaug.train import default_config

        def get_config(word="none"):
            config = default_config()
            config.data.directory = word
            return config
        """
    path = written(tmp_path, text)
    assert isinstance(load_config_file(str(path)), ConfigDict)
    assert load_config_file(str(path)).data.directory == "none"
    assert load_config_file(f"{path}:a,b:c").data.directory == "a,b:c"
    with pytest.raises(UsageError, match=r"^isda_digits takes no word after the colon, got 'resnet'$"):
        load_config_file("isda_digits:resnet")


def test_a_component_beside_the_config(tmp_path):
    written(tmp_path, "def margin_of_a_test(size=1.0):\n    '''A loss.'''\n", "margin_of_a_test")
    text = """
        from jaxaug.train import default_config

        def get_config():
            config = default_config()
            config.loss = ("margin_of_a_test",)
            return config
        """
    config = load_config_file(str(written(tmp_path, text)))
    apply_override(config, "loss.margin_of_a_test.size", "2")
    assert complete(config).loss == ({"name": "margin_of_a_test", "size": 2.0},)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", r"one\.py cannot be read: AttributeError: .*get_config"),
        ("def get_config(:", r"one\.py cannot be read: SyntaxError"),
        ("import nowhere_at_all", r"one\.py, line 1 cannot be read: ModuleNotFoundError: .*nowhere_at_all"),
        *(
            (
                f"from jaxaug.train import default_config\ndef get_config():\n    c = default_config()\n    {line}",
                message,
            )
            for line, message in (
                ("c.epochs = 3.5", r"one\.py, line 4: the config's field 'epochs' must be a whole number, got 3\.5$"),
                ("c.loss = 'isda'", r"line 4: the config's field 'loss' must be a sequence, got isda$"),
                (
                    "c.data = 'digits'",
                    r'field \'data\' must be a literal \{\.\.\.\}, such as \{"name": \.\.\.\}, got digits$',
                ),
                ("c.data.name = {'name': 'digits'}", r"the config's field 'name' must be a word, got name: digits$"),
                (
                    "c.update({'model': 'linear'})",
                    r"line 4: a part of the config is to be a literal \{\.\.\.\}, such as",
                ),
                ("c.loss.append(3)", r"one\.py, line 4 cannot be read: AttributeError: 'tuple' object has no"),
            )
        ),
        ("def get_config():\n    raise ValueError('unknown row 3')", r"one\.py: unknown row 3$"),
        (
            "from jaxaug.core.errors import UsageError\ndef get_config():\n    raise UsageError('as it is')",
            r"^as it is$",
        ),
    ],
)
def test_files_that_are_no_configs(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        load_config_file(str(written(tmp_path, text)))


def test_one_of_jaxaugs_own_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = ROOT / "configs" / "isda_cifar.py"
    for word in ("", ":resnet-110"):
        assert load_config_file(f"isda_cifar{word}").to_dict() == load_config_file(f"{path}{word}").to_dict()
    with pytest.raises(UsageError, match=r"there is no config isda_cfar: .* did you mean 'isda_cifar'"):
        load_config_file("isda_cfar")


def test_configs_of_an_installed_jaxaug_wherever_pip_puts_data(tmp_path, monkeypatch):
    """Beside another prefix than Python's, too, as on Debian and Colab; none without the list of what was installed."""
    site, shared = tmp_path / "lib" / "python3" / "dist-packages", tmp_path / "share" / "jaxaug" / "configs"
    record = site / "jaxaug-9.dist-info" / "RECORD"
    for file in (record, site / "jaxaug" / "train" / "config_files.py", shared / "isda_x.py"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    record.write_text("../../../share/jaxaug/configs/isda_x.py,,\njaxaug/train/config_files.py,,\n")
    record.with_name("METADATA").write_text("Metadata-Version: 2.1\nName: jaxaug\nVersion: 9\n")
    monkeypatch.setattr(config_files, "__file__", str(site / "jaxaug" / "train" / "config_files.py"))
    monkeypatch.setattr(sys, "path", [str(site)])
    assert config_files.own_configs() == {"isda_x": shared / "isda_x.py"}
    monkeypatch.setattr(sys, "path", [])
    assert config_files.own_configs() == {}


def test_no_such_file(tmp_path):
    (tmp_path / "one.txt").write_text("hello")
    with pytest.raises(UsageError, match=r"one\.txt is no Python file, whose name would end in \.py"):
        load_config_file(str(tmp_path / "one.txt"))
    with pytest.raises(UsageError, match=r"there is no config .*nowhere\.py: --config is a Python file with"):
        load_config_file(f"{tmp_path}/nowhere.py:word")
