"""ResNeXt for small images and ImageNet's: residual blocks whose 3x3 convolution is split into groups."""

from typing import Any

import flax.linen as nn
import jax

from jaxaug.core.registry import register
from jaxaug.models import layers
from jaxaug.models.resnet import IMAGENET_STAGES

# (depth, cardinality, base width) of ImageNet's: Xie et al. 2017, table 1, and the two of torchvision.
IMAGENET = ((50, 32, 4), (101, 32, 8), (101, 64, 4))


def plan(depth: int, cardinality: int, base_width: int, stem: str) -> tuple[int, ...]:
    """The blocks of each stage, or `UsageError` where the four name no network of the paper."""
    layers.require_one_of("resnext", "stem", stem, layers.STEMS)
    if stem == "imagenet":
        known = ", ".join(f"{d}-{c}x{w}d" for d, c, w in IMAGENET)
        got = f"{depth}-{cardinality}x{base_width}d"
        valid = (depth, cardinality, base_width) in IMAGENET
        layers.require(valid, f"resnext: with ImageNet's stem depth-cardinality x base_width are {known}, not {got}")
        return IMAGENET_STAGES[depth][1]
    layers.require(depth != 101, "resnext: depth 101 is ImageNet's: stem='imagenet', cardinality=32, base_width=8")
    valid = depth >= 11 and depth % 9 == 2
    layers.require(valid, f"resnext: depth must be 9n+2 (11, 20, 29, 38), with stem='imagenet' 50 or 101, not {depth}")
    return 3 * ((depth - 2) // 9,)


@register("model", "resnext")
class ResNeXt(nn.Module):
    """ResNeXt-depth, cardinality x base_width d, image [B H W C] -> (features [B D], logits [B K]).

    Xie et al., Aggregated Residual Transformations, CVPR 2017, section 5.3 (D is 1024) and, with ImageNet's stem, table
    1 (D is 2048); ISDA, tables 1 and 2.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers, 9n + 2: 11, 20, 29, 38; with ImageNet's stem 50 or 101.
      cardinality: groups of the 3x3 convolution, 8 or 16; with ImageNet's stem 32 or 64.
      base_width: channels of each group in the first stage, 64; with ImageNet's stem 4 or 8.
      stem: "small" is a 3x3 convolution without max-pool; "imagenet" is a 7x7 of stride 2 and max-pool, for 50-32x4d,
        101-32x8d and 101-64x4d and images of about 224 pixels.
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    num_classes: int
    depth: int = 29
    cardinality: int = 8
    base_width: int = 64
    stem: str = "small"
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("resnext", self.num_classes, self.dtype)
        for name in ("cardinality", "base_width"):
            value = getattr(self, name)
            valid = isinstance(value, int) and value >= 1
            layers.require(valid, f"resnext: {name} must be 1, 2, 3, ... (8 or 16 groups of 64), not {value}")
        plan(self.depth, self.cardinality, self.base_width, self.stem)
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        style = layers.Style(dtype=self.dtype)
        if self.stem == "imagenet":
            maps = layers.imagenet_stem(image, 64, style, train)
        else:
            maps = layers.activate(layers.conv(64, 3, dtype=self.dtype)(image), style, train)
        for stage, blocks in enumerate(plan(self.depth, self.cardinality, self.base_width, self.stem)):
            for block in range(blocks):
                maps = layers.Bottleneck(
                    width=self.cardinality * self.base_width * 2**stage,
                    features=256 * 2**stage,
                    stride=2 if stage and not block else 1,
                    groups=self.cardinality,
                    style=style,
                    name=f"stage{stage + 1}_block{block + 1}",
                )(maps, train)
        return layers.classify(maps, self.num_classes)
