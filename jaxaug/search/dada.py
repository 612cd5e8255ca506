"""DADA (Li et al., ECCV 2020): a policy that all rows share, learned beside the network, one step of each in turn.

The policy moves along the gradient of the loss on the validation rows after one unrolled training step of all
parameters (`directions.unrolled`). Its space is the preset "dada_space".
"""

from __future__ import annotations

import dataclasses

from ml_collections import ConfigDict

from jaxaug.bilevel import ihvp
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate
from jaxaug.search import autodo


def build(config: ConfigDict, **sizes: int) -> autodo.BilevelSearch:
    """The search that `config.search` describes: a step before every `every`-th training step.

    sizes: the keywords of `autodo.build`. The rate of the unrolled step is config.unrolled.rate; config.part, direction
    and curvature are AutoDO's and change nothing. Raises UsageError as `autodo.build` does, and for every = 0.
    """
    if config.every == 0:
        raise UsageError(
            "config.search.every must be at least 1 for 'dada', which moves the network and the policy in turn; 0, a "
            "pass over the training rows before each epoch, is for 'autodo'"
        )
    direction = instantiate("config.search.unrolled", ihvp.unrolled, options=dict(config.unrolled))
    # One unrolled step asks for no curvature; as the Hessian it is not even traced.
    return dataclasses.replace(autodo.build(config, **sizes), direction=direction, part=(), fisher=False)
