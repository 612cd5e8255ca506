"""Two thousand steps take no more memory than a few hundred."""

import gc
import os
import pathlib

import jax
import pytest
from helpers.settings import tiny_config

from jaxaug.train import trainer
from jaxaug.train.hooks.console import ProgressBar

MIB = 2**20


def resident():
    """Bytes of this process in memory."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("changes", [{}, {"place": "host", "prefetch": 4}], ids=["device", "host"])
@pytest.mark.slow
def test_memory_does_not_grow(tmp_path, monkeypatch, changes):
    """With ISDA, evaluations and checkpoints; arrays that are alive, and what the process has of the system."""
    seen = {}

    def note(self, step, figures):
        gc.collect()
        seen[step] = (len(jax.live_arrays()), resident())

    monkeypatch.setattr(ProgressBar, "update", note)
    config = tiny_config(epochs=98, log_every=42, eval_every=14, save_every=14, **changes)
    trainer.train_and_evaluate(config, tmp_path)
    steps = [step for step in seen if step >= 600]
    assert steps[-1] >= 2000
    arrays, memory = zip(*(seen[step] for step in steps), strict=True)
    # At those steps as many batches are on their way, give or take those read ahead.
    assert max(arrays) - min(arrays) <= 3 * config.prefetch
    assert memory[-1] - memory[0] < 12 * MIB, [m // MIB for m in memory]
