"""A linear classifier: for tests, baselines, and data whose images are small or already features."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.models import layers


@register("model", "linear")
class Linear(nn.Module):
    """Softmax regression on the pixels: image [B H W C] -> (features [B H*W*C], logits [B K]), float32.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      dropout_rate: the share of values that are dropped of the image, in [0, 1).
      dtype: "float32" or "bfloat16", as for the other models; the head computes in float32 either way.

    Raises:
      UsageError: an option is out of range.
    """

    num_classes: int
    dropout_rate: float = 0.0
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("linear", self.num_classes, self.dtype, self.dropout_rate)
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        pixels = image.reshape(image.shape[0], 1, 1, -1).astype(jnp.float32)
        return layers.classify(layers.dropout(pixels, self.dropout_rate, train), self.num_classes)
