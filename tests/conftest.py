"""Set before JAX is imported: devices, compilation, the cache; and what every test may ask for."""

import gc
import os
import pathlib

from helpers import reliability
from helpers.settings import QUICK, ROOT, double_precision

# Two virtual CPU devices let one process test sharding, on a machine with a GPU too. JAX reads all of it when imported,
# in child processes too.
# On a busy machine one of the two may wait longer for the other than XLA's 40 seconds, after which it would abort.
DEVICES = "--xla_force_host_platform_device_count=2 --xla_cpu_collective_call_terminate_timeout_seconds=600"
os.environ["XLA_FLAGS"] = " ".join((QUICK, DEVICES, os.environ.get("XLA_FLAGS", "")))  # yours win
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import pytest

# Tracing makes many small objects that live: looking through all of them for cycles took an eighth of the tests' time.
gc.set_threshold(100_000, 20, 100)

# What one test compiled another one, or the next call of the tests, need not compile again.
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".pytest_cache" / "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def pytest_addoption(parser):
    parser.addoption(reliability.OPTION, type=pathlib.Path, help="write the table of faults to this file")


def pytest_configure(config):
    if config.getoption(reliability.OPTION):
        config.pluginmanager.register(reliability.ReliabilityTable(config.getoption(reliability.OPTION)))


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    """A test under both precisions: yields the dtype's name."""
    if request.param == "float32":
        yield request.param
    else:
        with double_precision():
            yield request.param
