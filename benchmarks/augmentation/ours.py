"""jaxaug itself: apply_policy with the preset randaugment(2, 9), bit-exact to PIL."""

import os

import numpy as np

PACKAGES = ("jax", "jaxlib")


def make(size, threads=None):
    """threads=1 ties the process to one core before JAX starts its threads."""
    if threads == 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import jax

    from jaxaug.augment.functional import apply_policy
    from jaxaug.policies import presets

    policy = presets.randaugment(2, 9)

    def call(images, seed):
        return np.asarray(apply_policy(jax.random.key(seed), images, policy, exact=True)[0])

    return call
