"""What every test shares: the compilation cache, float64 on demand, and short ways to a batch."""

import contextlib
import os
import pathlib

import jax
import pytest

# Two virtual devices let one process test sharding; most tests use the first alone.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"


@contextlib.contextmanager
def double_precision():
    """Run a block with float64 enabled."""
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", False)


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    """A test under both precisions: yields the dtype's name."""
    if request.param == "float32":
        yield request.param
    else:
        with double_precision():
            yield request.param
