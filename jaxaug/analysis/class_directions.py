"""In which directions the features of a class vary to a trained network, and which real images lie along them.

ISDA shifts features by noise from N(0, lambda Sigma_c): the leading eigenvectors of the covariance Sigma_c of a class
are the directions in which it shifts them most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.maps import resize_nearest
from jaxaug.core.random import numpy_generator
from jaxaug.core.sharding import replicated
from jaxaug.core.types import Batch, TrainState
from jaxaug.data.dataset import Split
from jaxaug.data.loader import Loader, RowSource
from jaxaug.losses import FeatureStatistics
from jaxaug.losses._feature_statistics import update_statistics
from jaxaug.train.experiment import Experiment
from jaxaug.train.step import batch_of

KEPT = 64  # directions of a class that are kept, where all of them are more than MOST_NUMBERS
MOST_NUMBERS = 2**24


class Directions(NamedTuple):
    """How the features of C classes vary.

    Attributes:
      examples: [C] how many, or how many pixels, were seen.
      mean: [C D] of the features.
      variance: [C D] along the directions, falling.
      direction: [C M D], unit vectors; those of a diagonal covariance are single features.
    """

    examples: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    direction: np.ndarray


class Seen(NamedTuple):
    """n rows, or pixels of rows, as a network sees them.

    Attributes:
      features: [n D].
      label: [n] int, -1 for none.
      row: [n] int, the number of the row in its split.
      place: [n] int, the number of the pixel in the network's coarse map, row by row; 0 where labels are no maps.
    """

    features: np.ndarray
    label: np.ndarray
    row: np.ndarray
    place: np.ndarray


def directions_of(statistics: FeatureStatistics, classes: Sequence[int]) -> Directions:
    """The directions of some classes' covariances.

    Args:
      statistics: of K classes, with full or diagonal covariances.
      classes: C of them.
    """
    chosen = np.asarray(classes)
    count, mean, covariance = (np.asarray(x[chosen]) for x in jax.tree.leaves(statistics))
    depth = mean.shape[1]
    kept = depth if len(chosen) * depth**2 <= MOST_NUMBERS else min(KEPT, depth)
    variance, direction = np.empty(mean.shape), np.zeros((len(chosen), kept, depth), np.float32)
    for c, one in enumerate(covariance):
        if one.ndim == 1:
            order = np.argsort(-one, kind="stable")
            variance[c] = one[order]
            direction[c, np.arange(kept), order[:kept]] = 1.0
        else:
            rising, columns = np.linalg.eigh(one.astype(np.float64))
            variance[c] = np.maximum(rising[::-1], 0.0)
            found = columns[:, ::-1].T[:kept]
            # An eigenvector's sign is arbitrary: the same one each time.
            largest = np.take_along_axis(found, np.abs(found).argmax(axis=1, keepdims=True), axis=1)
            direction[c] = found * np.sign(largest)
    return Directions(count, mean, variance, direction)


def statistics_of_run(loss_state: Any) -> FeatureStatistics | None:
    """What ISDA in a run's loss has learned of the (first) head's features, None where the loss has none."""
    states = loss_state.values() if isinstance(loss_state, Mapping) else [loss_state]
    return next((state for state in states if isinstance(state, FeatureStatistics)), None)


def look(
    experiment: Experiment,
    state: TrainState,
    split: Split,
    rows: np.ndarray,
    statistics: FeatureStatistics,
    classes: Sequence[int],
    pixels: int = 1,
) -> tuple[Seen, FeatureStatistics]:
    """What a network says of rows of a split, as it is evaluated.

    Args:
      experiment: that the state is of.
      state: with the network's parameters.
      split: that the rows are of.
      rows: int [N], their numbers.
      statistics: of the C classes, to which the rows, or all of their pixels, are added.
      classes: the C classes.
      pixels: of each row that are kept, where labels are maps; drawn at random.

    Returns:
      (the N rows or N pixels, statistics).
    """
    number_of = np.full(experiment.data.num_classes + 1, -1)
    number_of[np.asarray(classes)] = np.arange(len(classes))

    def step(
        state: TrainState, statistics: FeatureStatistics, rows: RowSource, drawn: jax.Array
    ) -> tuple[FeatureStatistics, tuple[jax.Array, ...]]:
        features, label = features_and_labels(experiment, state, batch_of(*rows))
        flat = features.reshape(-1, features.shape[-1])
        statistics = update_statistics(statistics, flat, jnp.asarray(number_of)[label.reshape(-1)])
        place = (drawn * label.shape[1]).astype(jnp.int32)
        found = jnp.take_along_axis(features, place[..., None], 1), jnp.take_along_axis(label, place, 1), place
        return statistics, found

    whole = replicated(experiment.mesh)
    jitted = jax.jit(step, out_shardings=whole)
    random, parts = numpy_generator(0), []
    loader = Loader(split.at(rows), experiment.mesh, experiment.config.place)
    for source in loader.whole(experiment.config.eval_batch_size):
        batch = len(jax.tree.leaves(source.chosen)[0])
        drawn = random.random((batch, pixels), np.float32)
        statistics, found = jitted(state, statistics, source, jax.device_put(drawn, whole))
        parts.append(jax.device_get(found))
    features, label, place = (np.concatenate(some)[: len(rows)] for some in zip(*parts, strict=True))
    row = np.repeat(rows, pixels)
    return Seen(features.reshape(len(row), -1), label.reshape(-1), row, place.reshape(-1)), statistics


def features_and_labels(experiment: Experiment, state: TrainState, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """(features [B P D], labels [B P]) of a raw batch: of its rows, P = 1, or of the pixels of its coarse maps."""
    features, label = experiment.predict(state, batch).features, batch.label
    if features.ndim == 4:
        label = resize_nearest(label, features.shape[1:3])
    return features.reshape(len(features), -1, features.shape[-1]), label.reshape(len(features), -1)


def nearest(seen: Seen, point: np.ndarray, without: np.ndarray) -> int:
    """The number in `seen` of what is nearest to features [D]; without: bool [n], what is passed over."""
    # In blocks, for the differences of all would take as much as the features.
    distance = np.concatenate([((part - point) ** 2).sum(1) for part in np.array_split(seen.features, 64)])
    distance[without] = np.inf
    return int(distance.argmin())
