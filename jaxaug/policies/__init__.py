"""A policy as data: what may happen to an image, with which probability and how strongly.

    policy = jaxaug.policies.randaugment(num_layers=2, magnitude=9)
    images, visible = jaxaug.augment.apply_policy(key, images, policy)

`list()` names the presets, `get` makes one by name, `load` reads one that `Policy.save` wrote.
"""

from collections.abc import Sequence

from jaxaug.policies._deepaa import deepaa
from jaxaug.policies.autodo import affine, autodo_color, autodo_rand
from jaxaug.policies.learnable import initial_offsets, learned_policy
from jaxaug.policies.numpy_sampling import apply_policy_numpy as apply_numpy
from jaxaug.policies.numpy_sampling import sample_numpy
from jaxaug.policies.policy import Policy, make_policy
from jaxaug.policies.presets import (
    autoaugment,
    dada,
    dada_space,
    fast_autoaugment,
    get,
    load,
    randaugment,
    trivialaugment,
    uniformaugment,
)
from jaxaug.policies.presets import list_presets as list
from jaxaug.policies.search_space import make_search_space
from jaxaug.policies.summary import policy_statistics, policy_summary

__all__ = [
    "Policy",
    "affine",
    "apply_numpy",
    "autoaugment",
    "autodo_color",
    "autodo_rand",
    "dada",
    "dada_space",
    "deepaa",
    "fast_autoaugment",
    "get",
    "initial_offsets",
    "learned_policy",
    "list",
    "load",
    "make_policy",
    "make_search_space",
    "policy_statistics",
    "policy_summary",
    "randaugment",
    "sample_numpy",
    "trivialaugment",
    "uniformaugment",
]


def __dir__() -> Sequence[str]:
    return __all__
