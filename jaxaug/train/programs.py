"""The jitted functions of a training, built alike for running and for planning."""

from __future__ import annotations

from typing import Any

import jax

from jaxaug.core.sharding import replicated
from jaxaug.core.target import traced_for
from jaxaug.train.experiment import Experiment
from jaxaug.train.step import make_search_dispatch, make_train_dispatch


def train_program(experiment: Experiment) -> Any:
    """(state, totals, rows [n B]) -> (state, totals): training steps, in place."""
    return _in_place(experiment, make_train_dispatch(experiment.train_step))


def search_program(experiment: Experiment) -> Any:
    """(state, totals, rows [B], validation rows [V]) -> (state, totals): a step of the search beside the training."""
    assert experiment.search is not None
    return _in_place(experiment, make_search_dispatch(traced_for(experiment.mesh, experiment.search.step)))


def _in_place(experiment: Experiment, dispatch: Any) -> Any:
    places = (experiment.shardings(), replicated(experiment.mesh))
    return jax.jit(dispatch, donate_argnums=(0, 1), out_shardings=places)
