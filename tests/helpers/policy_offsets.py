"""Offsets and noise for policies that are learned; NumPy's, so that no test compiles a generator."""

import jax.numpy as jnp
import numpy as np

from jaxaug.policies.learnable import initial_offsets
from jaxaug.policies.policy import make_policy
from jaxaug.policies.sampling import Randomness

GATES = make_policy(  # the first on its value, the others on their effect
    [[[("Brightness", 0.8, 0.5), ("Identity", 0, 0.5)], [("Flip", 0, 0.5), ("Identity", 0, 0.5)]]], cover=(0.0,)
)
BRANCHES = make_policy([[[("Invert", 0, 0.5), ("Rotate", 0.9, 0.3), ("Identity", 0, 0.2)]]], cover=(0.0,))


def random_offsets(policy, *rows, size=1.0, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {name: (*rows, *zeros.shape) for name, zeros in initial_offsets(policy).items()}
    return {name: jnp.asarray(size * rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


def noise(layers, count, seed=0):
    rng = np.random.default_rng(seed)
    sub, branch, sign = (rng.random(shape).astype(np.float32) for shape in ((count,), (count, layers), (count, layers)))
    normal, logistic = rng.normal(size=branch.shape), rng.logistic(size=branch.shape)
    random = np.full((*branch.shape, 4), 0.5, np.float32)
    return Randomness(sub, branch, sign, random, None, normal.astype(np.float32), logistic.astype(np.float32))
