"""DenseNet-BC for small images: every layer reads the maps of all layers before it in its block."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.models import layers


class DenseLayer(nn.Module):
    """Append `growth_rate` new channels, [B H W C] -> [B H W C+growth_rate]. Huang et al. 2017, eq. 2."""

    growth_rate: int
    bottleneck: int
    dropout_rate: float = 0.0
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        new = nn.relu(layers.batch_norm(train, self.dtype)(maps))
        new = layers.conv(self.bottleneck * self.growth_rate, 1, dtype=self.dtype)(new)
        new = nn.relu(layers.batch_norm(train, self.dtype)(new))
        new = layers.conv(self.growth_rate, 3, dtype=self.dtype)(new)
        return jnp.concatenate([maps, layers.dropout(new, self.dropout_rate, train)], axis=-1)


class Transition(nn.Module):
    """Thin and halve, [B H W C] -> [B H//2 W//2 features]. Huang et al. 2017, section 3."""

    features: int
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        maps = nn.relu(layers.batch_norm(train, self.dtype)(maps))
        return nn.avg_pool(layers.conv(self.features, 1, dtype=self.dtype)(maps), (2, 2), strides=(2, 2))


@register("model", "densenet")
class DenseNet(nn.Module):
    """DenseNet-BC, image [B H W C] -> (features [B D], logits [B K]); D is 342 at depth 100, growth 12.

    Huang et al., Densely Connected Convolutional Networks, CVPR 2017, section 3 and table 2; ISDA, table 2.
    H and W are 4 or more.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers, 6n + 4: 10, 40, 100, 190, 250.
      growth_rate: channels that a layer appends.
      compression: the share of channels that a transition keeps, in (0, 1].
      bottleneck: channels of the 1x1 convolution over the growth rate.
      dropout_rate: the share of values that are dropped behind each layer, in [0, 1).
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range, or the images are smaller.
    """

    num_classes: int
    depth: int = 100
    growth_rate: int = 12
    compression: float = 0.5
    bottleneck: int = 4
    dropout_rate: float = 0.0
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("densenet", self.num_classes, self.dtype, self.dropout_rate)
        valid = self.depth >= 10 and self.depth % 6 == 4
        layers.require(valid, f"densenet: depth must be 6n+4 (10, 40, 100, 190, 250), not {self.depth}")
        for name in ("growth_rate", "bottleneck"):
            value = getattr(self, name)
            layers.require(isinstance(value, int) and value >= 1, f"densenet: {name} must be 1, 2, 3, ..., not {value}")
        valid = 0.0 < self.compression <= 1.0
        layers.require(valid, f"densenet: compression must be in (0, 1], not {self.compression}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        height, width = image.shape[1:3]
        layers.require(min(height, width) >= 4, f"densenet: images must be 4 x 4 or more, not {height} x {width}")
        maps = layers.conv(2 * self.growth_rate, 3, dtype=self.dtype)(image)
        options = (self.growth_rate, self.bottleneck, self.dropout_rate, self.dtype)
        for stage in range(3):
            if stage:
                thin = max(1, int(maps.shape[-1] * self.compression))
                maps = Transition(thin, self.dtype, name=f"transition{stage}")(maps, train)
            for layer in range((self.depth - 4) // 6):
                maps = DenseLayer(*options, name=f"block{stage + 1}_layer{layer + 1}")(maps, train)
        maps = nn.relu(layers.batch_norm(train, self.dtype)(maps))
        return layers.classify(maps, self.num_classes)
