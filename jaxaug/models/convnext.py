"""ConvNeXt: a ResNet with the choices of vision transformers."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.models import layers

INIT = nn.initializers.normal(0.02)  # Liu et al. 2022, appendix A; theirs is cut off at 100 deviations
LAYER_SCALE = 1e-6  # table 5
EXPANSION = 4
LEAST_SIDE = 32  # a pixel of the last stage is 32 of the image


def patch_conv(features: int, side: int, dtype: Any, name: str) -> nn.Conv:
    """A convolution of squares that do not overlap, [B H W C] -> [B H//side W//side features]."""
    dtype = jnp.dtype(dtype)
    return nn.Conv(features, (side, side), strides=side, padding="VALID", kernel_init=INIT, dtype=dtype, name=name)


def dense(features: int, dtype: Any, name: str) -> nn.Dense:
    """A Dense layer over the channels, [B H W C] -> [B H W features]."""
    return nn.Dense(features, kernel_init=INIT, dtype=jnp.dtype(dtype), name=name)


class Block(nn.Module):
    """Depthwise 7x7, norm, two Dense layers, each channel scaled: [B H W C] -> [B H W C]. Liu et al. 2022, figure 4."""

    drop_path_rate: float = 0.0
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        channels = maps.shape[-1]
        options = {"groups": channels, "bias": True, "init": INIT, "dtype": self.dtype}
        out = layers.conv(channels, 7, **options, name="depthwise")(maps)
        out = layers.layer_norm(self.dtype, "norm")(out)
        out = nn.gelu(dense(EXPANSION * channels, self.dtype, "hidden")(out), approximate=False)
        out = dense(channels, self.dtype, "output")(out)
        factor = self.param("layer_scale", nn.initializers.constant(LAYER_SCALE), (channels,))
        return maps + layers.drop_path(factor.astype(out.dtype) * out, self.drop_path_rate, train)


@register("model", "convnext")
class ConvNeXt(nn.Module):
    """ConvNeXt, image [B H W C] -> (features [B D], logits [B K]); D is the last width. H and W are 32 or more.

    Liu et al., A ConvNet for the 2020s, CVPR 2022, section 3: ConvNeXt-T is the default. ConvNeXt-S has 27 blocks in
    the third stage, ConvNeXt-B the widths 128, 256, 512, 1024 besides.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      blocks: of each stage.
      widths: channels of each stage, as many as there are stages.
      drop_path_rate: how often the branch of the last block is left out for an example, in [0, 1); the rates before it
        grow towards it in a line from 0.
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range, or the images are smaller.
    """

    num_classes: int
    blocks: tuple[int, ...] = (3, 3, 9, 3)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    drop_path_rate: float = 0.1
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("convnext", self.num_classes, self.dtype)
        layers.check_rate("convnext", "drop_path_rate", self.drop_path_rate)
        for name in ("blocks", "widths"):
            value = getattr(self, name)
            valid = len(value) == 4 and all(isinstance(one, int) and one >= 1 for one in value)
            layers.require(valid, f"convnext: {name} must be four positive numbers, not {value}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        height, width = image.shape[1:3]
        valid = min(height, width) >= LEAST_SIDE
        layers.require(valid, f"convnext: images must be {LEAST_SIDE} x {LEAST_SIDE} or more, not {height} x {width}")
        maps = patch_conv(self.widths[0], 4, self.dtype, "stem")(image)
        maps = layers.layer_norm(self.dtype, "stem_norm")(maps)
        last = max(sum(self.blocks) - 1, 1)
        for stage, count in enumerate(self.blocks):
            if stage:
                maps = layers.layer_norm(self.dtype, f"downsample{stage}_norm")(maps)
                maps = patch_conv(self.widths[stage], 2, self.dtype, f"downsample{stage}")(maps)
            for block in range(count):
                rate = self.drop_path_rate * (sum(self.blocks[:stage]) + block) / last
                maps = Block(rate, self.dtype, name=f"stage{stage + 1}_block{block + 1}")(maps, train)
        features = layers.layer_norm(name="last_norm")(maps.astype(jnp.float32).mean((1, 2)))
        return layers.with_head(features, self.num_classes)
