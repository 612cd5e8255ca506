"""What every test shares: the compilation cache, float64 on demand, and short ways to a batch."""

import contextlib
import os
import pathlib

# Two virtual CPU devices let one process test sharding, on a machine with a GPU too. Most of the time goes into
# compiling, for which unoptimised code takes a third less. JAX reads all of it when imported, in child processes too.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
DEVICES = "--xla_force_host_platform_device_count=2"
os.environ["XLA_FLAGS"] = " ".join((QUICK, DEVICES, os.environ.get("XLA_FLAGS", "")))  # yours win
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import pytest

from jaxaug import defaults

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"

# What one test compiled another one, or the next call of the tests, need not compile again.
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".pytest_cache" / "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


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


def tiny_config(**changes):
    """ISDA on real digits with a network that trains in a second: 21 steps an epoch."""
    config = defaults.config()
    config.update({"epochs": 1, "save_every": 1, "log_every": 3, "eval_batch_size": 128})
    config.augment.train = ("parts.pad_and_crop",)
    config.augment.pad_and_crop.update(padding=1, fill="zero")
    config.model = {"name": "convnet", "kw": {"widths": (8, 16), "dropout_rate": 0.1}}
    config.loss.chain = ("isda.isda",)
    config.loss.isda.update(strength=0.5, covariance="full", schedule="step")
    config.update(changes)
    return config
