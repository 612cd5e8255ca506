"""Shake-Shake networks of ResNeXt blocks: two grouped bottleneck branches mixed at random."""

from typing import Any

import flax.linen as nn
import jax

from jaxaug.core.registry import register
from jaxaug.models import layers
from jaxaug.models.shake_shake import Shake, Shortcut

EXPANSION = 4  # features of a bottleneck over its base, as in ResNet


class Block(nn.Module):
    """Two shaken branches of 1x1, grouped 3x3, 1x1: [B H W C] -> [B ceil(H/stride) ceil(W/stride) features]."""

    width: int
    features: int
    groups: int
    stride: int = 1
    dtype: Any = "float32"

    def _branch(self, maps: jax.Array, train: bool) -> jax.Array:
        maps = layers.conv(self.width, 1, dtype=self.dtype)(maps)
        maps = nn.relu(layers.batch_norm(train, self.dtype)(maps))
        maps = layers.conv(self.width, 3, self.stride, groups=self.groups, dtype=self.dtype)(maps)
        maps = nn.relu(layers.batch_norm(train, self.dtype)(maps))
        maps = layers.conv(self.features, 1, dtype=self.dtype)(maps)
        return layers.batch_norm(train, self.dtype)(maps)

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        first, second = self._branch(maps, train), self._branch(maps, train)
        mixed = Shake()(first, second, train)
        if maps.shape[-1] != self.features:
            maps = Shortcut(self.features, self.stride, layers.HE_FAN_OUT, self.dtype)(maps, train)
        return mixed + maps


@register("model", "shake_resnext")
class ShakeResNeXt(nn.Module):
    """ShakeResNeXt-depth 2 x cardinality x base_width d, image [B H W C] -> (features [B 1024], logits [B K]).

    Gastaldi, Shake-Shake Regularization, 2017, table 2 (CIFAR-100); ISDA, table 2 (its released code). DeepAA's
    "26 2x96d" of this kind is depth 20: the released code rounds depth and width down.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers, 9n + 2: 11, 20, 29.
      cardinality: groups of the 3x3 convolution.
      base_width: channels of each group in the first stage.
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    num_classes: int
    depth: int = 29
    cardinality: int = 4
    base_width: int = 64
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("shake_resnext", self.num_classes, self.dtype)
        valid = self.depth >= 11 and self.depth % 9 == 2
        layers.require(valid, f"shake_resnext: depth must be 9n+2 (11, 20, 29), not {self.depth}")
        for name in ("cardinality", "base_width"):
            value = getattr(self, name)
            valid = isinstance(value, int) and value >= 1
            layers.require(valid, f"shake_resnext: {name} must be 1, 2, 3, ... (4 groups of 64), not {value}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        # As released, without a norm behind it, so that its bias counts.
        bias_init = layers.uniform_bias(9 * image.shape[-1])
        maps = layers.conv(64, 3, bias=True, bias_init=bias_init, dtype=self.dtype)(image)
        for stage in range(3):
            for block in range((self.depth - 2) // 9):
                maps = Block(
                    width=self.cardinality * self.base_width * 2**stage,
                    features=EXPANSION * 64 * 2**stage,
                    groups=self.cardinality,
                    stride=2 if stage and not block else 1,
                    dtype=self.dtype,
                    name=f"stage{stage + 1}_block{block + 1}",
                )(maps, train)
        return layers.classify(nn.relu(maps), self.num_classes)
