"""ISDA's statistics of a batch that is spread over devices: the numbers of one device, by messages of a fixed size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.core.sharding import make_mesh, replicated, sharded_along
from jaxaug.core.target import traced_for
from jaxaug.losses._feature_statistics import ROWS_PER_CLASS, init_statistics, update_statistics
from jaxaug.planning.compiled import cost_of

CLASSES, DEPTH = 3, 8


def batch_of(rows):
    """Features far from 0 and labels, of which some are none; class 1 is absent or spoilt in the batches below."""
    random = np.random.default_rng(rows)
    label = np.where(np.arange(rows) % 7 == 0, -1, random.integers(0, CLASSES, rows)).astype(np.int32)
    return random.normal(5.0, 1.0, (rows, DEPTH)).astype(np.float32), label


def spread_update(mesh):
    places = (replicated(mesh), sharded_along(mesh, 0), sharded_along(mesh, 0))
    return jax.jit(traced_for(mesh, update_statistics), in_shardings=places, out_shardings=replicated(mesh))


def test_the_same_numbers_on_two_devices():
    spread, alone = spread_update(make_mesh()), jax.jit(update_statistics)
    found = expected = init_statistics(CLASSES, DEPTH, full=True)
    for change in ("nothing", "absent", "spoilt"):
        features, label = batch_of(2 * CLASSES * ROWS_PER_CLASS)
        if change == "absent":
            label[label == 1] = 2
        if change == "spoilt":
            features[np.flatnonzero(label == 1)[0], 0] = np.inf
        before = np.asarray(found.covariance[1])
        found, expected = spread(found, features, label), alone(expected, features, label)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)
        assert np.array_equal(found.covariance[1], before) == (change != "nothing")
    assert np.isfinite(found.covariance).all()


@pytest.mark.parametrize("full", [True, False])
def test_traffic_does_not_grow_with_the_batch(full):
    mesh, sent = make_mesh(), []
    statistics = init_statistics(CLASSES, DEPTH, full=full)
    for times in (1, 4):
        given = statistics, *map(jnp.asarray, batch_of(times * CLASSES * ROWS_PER_CLASS))
        found = cost_of(spread_update(mesh), *given, platform="cpu", devices=2).collectives
        sent.append(sum(one.bytes for one in found.values()))
    # Of each class, and of what has none: its rows, their sum, and the sum of products or squares.
    assert sent[0] == sent[1]
    assert sent[0] <= 4 * (CLASSES + 1) * (1 + DEPTH + 1 + DEPTH * (DEPTH if full else 1) + DEPTH)
