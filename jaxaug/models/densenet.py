"""DenseNet-BC for small images and ImageNet's: every layer reads the maps of all layers before it in its block."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.models import layers

# Layers of each block and growth rate: Huang et al. 2017, table 1; 161 and 265 as in their released code.
IMAGENET = {
    121: ((6, 12, 24, 16), 32),
    161: ((6, 12, 36, 24), 48),
    169: ((6, 12, 32, 32), 32),
    201: ((6, 12, 48, 32), 32),
    265: ((6, 12, 64, 48), 32),
}
LEAST_SIDE = {"small": 4, "imagenet": 32}  # below it the last maps would vanish


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

    Huang et al., Densely Connected Convolutional Networks, CVPR 2017, section 3, tables 1 and 2; ISDA, tables 1 and 2.
    H and W are 4 or more, with ImageNet's stem 32 or more.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers, 6n + 4: 10, 40, 100, 190, 250; with ImageNet's stem 121, 161, 169, 201, 265.
      growth_rate: channels that a layer appends; 0 is 12, with ImageNet's stem 32, and 48 at depth 161.
      compression: the share of channels that a transition keeps, in (0, 1].
      bottleneck: channels of the 1x1 convolution over the growth rate.
      dropout_rate: the share of values that are dropped behind each layer, in [0, 1).
      stem: "small" is a 3x3 convolution without max-pool; "imagenet" is a 7x7 of stride 2 and max-pool, with four
        blocks behind it, for images of about 224 pixels.
      stem_width: channels of the first convolution; 0 is twice the growth rate, the paper's rule. ISDA's code has 24.
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range, or the images are smaller.
    """

    num_classes: int
    depth: int = 100
    growth_rate: int = 0
    compression: float = 0.5
    bottleneck: int = 4
    dropout_rate: float = 0.0
    stem: str = "small"
    stem_width: int = 0
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("densenet", self.num_classes, self.dtype, self.dropout_rate)
        plan(self.depth, self.stem)
        for name, least in (("growth_rate", 0), ("bottleneck", 1), ("stem_width", 0)):
            value = getattr(self, name)
            valid = isinstance(value, int) and value >= least
            layers.require(valid, f"densenet: {name} must be {least}, {least + 1}, {least + 2}, ..., not {value}")
        valid = 0.0 < self.compression <= 1.0
        layers.require(valid, f"densenet: compression must be in (0, 1], not {self.compression}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        height, width = image.shape[1:3]
        least, large = LEAST_SIDE[self.stem], self.stem == "imagenet"
        valid = min(height, width) >= least
        layers.require(valid, f"densenet: images must be {least} x {least} or more, not {height} x {width}")
        blocks, published = plan(self.depth, self.stem)
        growth = self.growth_rate or published
        first = self.stem_width or 2 * growth
        if large:
            maps = layers.imagenet_stem(image, first, layers.Style(dtype=self.dtype), train)
        else:
            maps = layers.conv(first, 3, dtype=self.dtype)(image)
        for stage, number in enumerate(blocks):
            if stage:
                thin = max(1, int(maps.shape[-1] * self.compression))
                maps = Transition(thin, self.dtype, name=f"transition{stage}")(maps, train)
            for layer in range(number):
                name = f"block{stage + 1}_layer{layer + 1}"
                maps = DenseLayer(growth, self.bottleneck, self.dropout_rate, self.dtype, name=name)(maps, train)
        maps = nn.relu(layers.batch_norm(train, self.dtype)(maps))
        return layers.classify(maps, self.num_classes)


def plan(depth: int, stem: str) -> tuple[tuple[int, ...], int]:
    """(layers of each block, growth rate as published), or `UsageError` where there is no such network."""
    layers.require_one_of("densenet", "stem", stem, layers.STEMS)
    if stem == "imagenet":
        known = ", ".join(map(str, IMAGENET))
        layers.require(depth in IMAGENET, f"densenet: depth with ImageNet's stem must be {known}, not {depth}")
        return IMAGENET[depth]
    valid = depth >= 10 and depth % 6 == 4
    layers.require(valid, f"densenet: depth must be 6n+4 (10, 40, 100, 190, 250), not {depth}")
    return 3 * ((depth - 4) // 6,), 12
