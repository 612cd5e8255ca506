"""The examples of `jaxaug.augment` run as they stand in the documentation, those whose library is installed."""

import importlib.util
import os
import subprocess
import sys

import pytest
from helpers.settings import ROOT

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("augment_*.py"))
# example -> the library it shows, and what it prints
SAID = {
    "augment_grain": ("grain", ["(16, 32, 32, 3) float32", "(8, 32, 32, 3) float32"]),
    "augment_own_loop": ("jax", ["of an image", "is seen on average"]),
    "augment_tf_data": (
        "tensorflow",
        ["arrays ArrayImpl (8, 32, 32, 3) float32", "tensors EagerTensor (8, 32, 32, 3)"],
    ),
    "augment_torch_dataloader": (
        "torch",
        ["workers torch.Size([8, 3, 32, 32]) torch.uint8", "device torch.Size([8, 3, 32, 32]) torch.uint8"],
    ),
}


def test_every_example_is_here():
    assert [path.stem for path in EXAMPLES] == sorted(SAID)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path):
    """In a process of its own: these libraries fork, and start threads of their own."""
    library, expected = SAID[path.stem]
    assert len(path.read_text().splitlines()) <= 40
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for line in expected:
        assert line in done.stdout
