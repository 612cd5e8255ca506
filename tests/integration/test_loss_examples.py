"""The examples of the losses run as they stand in docs/examples, are short, and learn."""

import importlib.util
import re
import runpy

import pytest
from helpers.settings import ROOT

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("loss_*.py"))
NEEDS = {"loss_equinox": "equinox"}  # a test extra


def test_there_is_one_for_each_library():
    assert {"loss_flax_linen", "loss_flax_nnx", "loss_equinox", "loss_plain_jax"} <= {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_is_short(path):
    """At most 40 lines, of which at most 8 are what ISDA adds to the plain loop or changes in it."""
    lines = path.read_text().splitlines()
    assert len(lines) <= 40
    marked = [line for line in lines if line.endswith("# isda")]
    assert len(marked) <= 8
    # Whatever speaks of the loss or its state is marked, so that the count is an honest one.
    speaking = [line for line in lines[1:] if re.search(r"\bloss(es|_state)?\b", line)]
    assert path.stem == "loss_soft_targets" or set(speaking) <= set(marked)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_learns(path, capsys):
    if path.stem in NEEDS and importlib.util.find_spec(NEEDS[path.stem]) is None:
        pytest.skip(f"{NEEDS[path.stem]} is not installed")
    runpy.run_path(str(path), run_name="__main__")
    assert float(re.search(r"test accuracy ([\d.]+)", capsys.readouterr().out)[1]) > 0.9
