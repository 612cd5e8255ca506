"""A policy with an operation from outside jaxaug loads again: its file names the module, which is found beside it."""

import json
import subprocess
import sys
import textwrap

import pytest

from jaxaug import policies
from jaxaug.core.errors import UsageError
from jaxaug.ops.registry import OPS

OWN_OP = """
from jaxaug import ops

@ops.color_op("Darken", 0.0, 1.0, unit="share", neutral=0.0, source="mine")
def darken(backend, image, value):
    return backend.blend(image, 0 * image, value)
"""


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A policy with an op of a module in its folder, saved; the op and the module are forgotten then."""
    (tmp_path / "my_ops.py").write_text(OWN_OP)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("my_ops")
    path = tmp_path / "policy.json"
    policies.make_policy([[[("Darken", 0.5, 0.7), ("Rotate", 1.0, 0.3)]]]).save(path)
    monkeypatch.undo()
    forget()
    yield path
    forget()


def forget():
    OPS.pop("Darken", None)
    sys.modules.pop("my_ops", None)


def test_it_loads_from_beside_the_file(saved):
    path_before = list(sys.path)
    assert json.loads(saved.read_text())["modules"] == ["my_ops"]
    policy = policies.load(saved)
    assert policy.names == ("Identity", "Rotate", "Darken")
    assert sys.path == path_before


def test_it_loads_from_the_working_directory(saved, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    moved = saved.rename(tmp_path / "elsewhere" / "policy.json")
    monkeypatch.chdir(tmp_path)
    assert "Darken" in policies.load(moved).names


def test_a_module_that_is_not_there(saved):
    (saved.parent / "my_ops.py").unlink()
    with pytest.raises(UsageError, match=r"'my_ops', which cannot be imported .*: put my_ops.py beside the policy"):
        policies.load(saved)


def test_a_module_that_lacks_the_op(saved):
    (saved.parent / "my_ops.py").write_text("")
    with pytest.raises(UsageError, match="unknown operation 'Darken'"):
        policies.load(saved)


def test_a_script_names_its_file(tmp_path):
    """Run as a script its module has no name of its own; the file's is written."""
    script = OWN_OP + textwrap.dedent(
        """
        from jaxaug import policies
        policies.make_policy([[[("Darken", 0.5, 1.0)]]]).save("policy.json")
        """
    )
    (tmp_path / "own_script.py").write_text(script)
    subprocess.run([sys.executable, "own_script.py"], cwd=tmp_path, check=True)
    assert json.loads((tmp_path / "policy.json").read_text())["modules"] == ["own_script"]


def test_files_without_own_ops_name_no_modules(tmp_path):
    policies.randaugment().save(tmp_path / "policy.json")
    assert "modules" not in json.loads((tmp_path / "policy.json").read_text())
