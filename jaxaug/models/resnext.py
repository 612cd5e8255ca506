"""ResNeXt for small images: residual blocks whose 3x3 convolution is split into groups."""

from typing import Any

import flax.linen as nn
import jax

from jaxaug.core.registry import register
from jaxaug.models import layers


@register("model", "resnext")
class ResNeXt(nn.Module):
    """ResNeXt-depth, cardinality x base_width d, image [B H W C] -> (features [B 1024], logits [B K]).

    Xie et al., Aggregated Residual Transformations, CVPR 2017, section 5.3; ISDA, table 2.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers, 9n + 2: 11, 20, 29, 38.
      cardinality: groups of the 3x3 convolution, 8 or 16.
      base_width: channels of each group in the first stage, 64.
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    num_classes: int
    depth: int = 29
    cardinality: int = 8
    base_width: int = 64
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("resnext", self.num_classes, self.dtype)
        valid = self.depth >= 11 and self.depth % 9 == 2
        layers.require(valid, f"resnext: depth must be 9n+2 (11, 20, 29, 38), not {self.depth}")
        for name in ("cardinality", "base_width"):
            value = getattr(self, name)
            valid = isinstance(value, int) and value >= 1
            layers.require(valid, f"resnext: {name} must be 1, 2, 3, ... (8 or 16 groups of 64), not {value}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        maps = nn.relu(layers.batch_norm(train, self.dtype)(layers.conv(64, 3, dtype=self.dtype)(image)))
        for stage in range(3):
            for block in range((self.depth - 2) // 9):
                maps = layers.Bottleneck(
                    width=self.cardinality * self.base_width * 2**stage,
                    features=256 * 2**stage,
                    stride=2 if stage and not block else 1,
                    groups=self.cardinality,
                    dtype=self.dtype,
                    name=f"stage{stage + 1}_block{block + 1}",
                )(maps, train)
        return layers.classify(maps, self.num_classes)
