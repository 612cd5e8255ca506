"""Wide residual networks with pre-activation blocks, with or without squeeze-and-excite."""

from typing import Any

import flax.linen as nn
import jax

from jaxaug.core.registry import register
from jaxaug.models import layers


class Block(nn.Module):
    """Pre-activation block of two 3x3 convolutions, [B H W C] -> [B ceil(H/stride) ceil(W/stride) features].

    Zagoruyko and Komodakis 2016, figure 1d.
    """

    features: int
    stride: int = 1
    dropout_rate: float = 0.0
    squeeze_excite: bool = False
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        active = nn.relu(layers.batch_norm(train, self.dtype)(maps))
        out = layers.conv(self.features, 3, self.stride, dtype=self.dtype)(active)
        out = nn.relu(layers.batch_norm(train, self.dtype)(out))
        out = layers.dropout(out, self.dropout_rate, train)
        out = layers.conv(self.features, 3, dtype=self.dtype)(out)
        out = layers.SqueezeExcite(self.dtype)(out) if self.squeeze_excite else out
        if maps.shape[-1] != self.features or self.stride != 1:
            # Shared pre-activation: where the width changes, the shortcut too starts from the activated maps.
            maps = layers.conv(self.features, 1, self.stride, dtype=self.dtype)(active)
        return out + maps


@register("model", "wide_resnet")
class WideResNet(nn.Module):
    """WRN-depth-k, image [B H W C] -> (features [B 64k], logits [B K]).

    Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016, table 1; ISDA, table 2.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers, 6n + 4: 10, 16, 22, 28, 40.
      widen_factor: k, times 16 channels in the first stage.
      dropout_rate: the share of values that are dropped within each block, in [0, 1).
      squeeze_excite: whether each block gates its channels (Hu et al. 2018).
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    num_classes: int
    depth: int = 28
    widen_factor: int = 10
    dropout_rate: float = 0.0
    squeeze_excite: bool = False
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("wide_resnet", self.num_classes, self.dtype, self.dropout_rate)
        valid = self.depth >= 10 and self.depth % 6 == 4
        layers.require(valid, f"wide_resnet: depth must be 6n+4 (10, 16, 22, 28, 40), not {self.depth}")
        valid = isinstance(self.widen_factor, int) and self.widen_factor >= 1
        layers.require(valid, f"wide_resnet: widen_factor must be 1, 2, 3, ... (8 or 10), not {self.widen_factor}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        maps = layers.conv(16, 3, dtype=self.dtype)(image)
        for stage in range(3):
            for block in range((self.depth - 4) // 6):
                maps = Block(
                    16 * self.widen_factor * 2**stage,
                    stride=2 if stage and not block else 1,
                    dropout_rate=self.dropout_rate,
                    squeeze_excite=self.squeeze_excite,
                    dtype=self.dtype,
                    name=f"stage{stage + 1}_block{block + 1}",
                )(maps, train)
        maps = nn.relu(layers.batch_norm(train, self.dtype)(maps))
        return layers.classify(maps, self.num_classes)
