"""The precision that networks compute in; parameters, statistics, heads and losses stay float32."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.types import ModelOutput, Tree

PRECISIONS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class InPrecision:
    """A network that has no option `dtype`, given parameters and images that are rounded.

    Its layers then compute in that precision, as Flax's do where no dtype is set. Parameters of the heads are not
    rounded, so that logits are float32.

    Args:
      model: a Linen or NNX model.
      precision: "bfloat16".
      heads: names of its classifiers.
    """

    model: Any
    precision: str
    heads: tuple[str, ...]

    def rounded(self, params: Tree) -> Tree:
        """The parameters as the network is given them."""
        return {name: part if name in self.heads else self._cast(part) for name, part in params.items()}

    def image(self, image: jax.Array) -> jax.Array:
        """The image [B H W C] as the network is given it."""
        return image.astype(self.precision)

    def _cast(self, tree: Tree) -> Tree:
        return jax.tree.map(lambda x: x.astype(self.precision) if x.dtype == jnp.float32 else x, tree)


def check_precision(precision: str) -> None:
    """Raises UsageError for a precision that training is not made for."""
    if precision not in PRECISIONS:
        why = "; float16 loses small gradients without loss scaling, which there is none of" * (precision == "float16")
        raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}{why}")


def in_float32(output: ModelOutput, model_state: Tree, before: Tree) -> tuple[ModelOutput, Tree]:
    """(features and logits in float32, a state in the dtypes of the one before)."""
    output = jax.tree.map(lambda x: x.astype(jnp.float32), output)
    return output, jax.tree.map(lambda x, old: x.astype(old.dtype), model_state, before)
