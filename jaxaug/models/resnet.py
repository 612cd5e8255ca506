"""ResNets: the CIFAR family and the 64-to-512-channel one, told apart by depth, and ImageNet's, by the stem."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from jaxaug.core.registry import register
from jaxaug.models import layers

WIDE_STAGES = {
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
}
# With ImageNet's stem 200 is a bottleneck network of this family too (He et al., Identity Mappings, 2016).
IMAGENET_STAGES = {**WIDE_STAGES, 200: (True, (3, 24, 36, 3))}
STEMS = (*layers.STEMS, "deep")
EXPANSION = 4  # He et al. 2016, table 1: a bottleneck block gives 4 x its width


class Plan(NamedTuple):
    """What a depth stands for: kind of block, blocks per stage, width of stage 1, initialiser."""

    bottleneck: bool
    blocks: tuple[int, ...]
    width: int
    init: Callable


def plan(depth: int, stem: str = "small") -> Plan:
    """Say what network `depth` names, or raise `UsageError`. He et al. 2016, table 1 and section 4.2."""
    layers.require_one_of("resnet", "stem", stem, STEMS)
    if stem != "small":
        known = ", ".join(map(str, IMAGENET_STAGES))
        layers.require(depth in IMAGENET_STAGES, f"resnet: depth with ImageNet's stem must be {known}, not {depth}")
        bottleneck, blocks = IMAGENET_STAGES[depth]
        return Plan(bottleneck, blocks, 64, layers.HE_FAN_OUT)
    if depth in WIDE_STAGES:
        bottleneck, blocks = WIDE_STAGES[depth]
        return Plan(bottleneck, blocks, 64, layers.TORCH_DEFAULT)
    # 164 is 6 * 27 + 2 as well as 9 * 18 + 2; the literature means the bottleneck one.
    bottleneck = depth == 164 or (depth % 6 != 2 and depth % 9 == 2)
    layers.require(
        depth >= 8 and (bottleneck or depth % 6 == 2),
        f"resnet: depth must be 18, 34, 50, 101, 152 (64 to 512 channels), or 6n+2 as 20, 32, 44, 56, 110, "
        f"1202 (basic blocks), or 164, 1001, another 9n+2 that is not 6n+2 (bottleneck blocks), not {depth}",
    )
    return Plan(bottleneck, 3 * ((depth - 2) // (9 if bottleneck else 6),), 16, layers.HE_FAN_OUT)


class Basic(nn.Module):
    """Post-activation block of two 3x3 convolutions, [B H W C] -> [B ceil(H/stride) ceil(W/stride) features].

    He et al. 2016, figure 5 left; dropout sits between the two convolutions.
    """

    features: int
    stride: int = 1
    squeeze_excite: bool = False
    dropout_rate: float = 0.0
    style: layers.Style = layers.Style()

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        style = self.style
        shared = {"init": style.init, "dtype": style.dtype}
        out = layers.activate(layers.conv(self.features, 3, self.stride, **shared)(maps), style, train)
        out = layers.dropout(out, self.dropout_rate, train)
        out = layers.normalize(layers.conv(self.features, 3, **shared)(out), style, train)
        out = layers.SqueezeExcite(style.dtype)(out) if self.squeeze_excite else out
        out = out + layers.shortcut(maps, self.features, self.stride, style, train)
        return layers.ACTIVATIONS[style.activation](out)


@register("model", "resnet")
class ResNet(nn.Module):
    """ResNet, image [B H W C] -> (features [B D], logits [B K]); D is 64, 256, 512 or 2048 by depth.

    He et al., Deep Residual Learning, CVPR 2016, section 4.2; ISDA, table 2; depths 18 to 152 as in Soft
    Augmentation, CVPR 2023.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers; 18, 34, 50, 101 and 152 have 64 to 512 channels, 6n + 2 and 9n + 2 are the CIFAR family.
      stem: "small" is a 3x3 convolution without max-pool; "imagenet" is He et al.'s 7x7 of stride 2 and max-pool, for
        depths 18 to 200 and images of about 224 pixels; "deep" has three 3x3 ones instead, as segmentation code does.
      squeeze_excite: whether each block gates its channels (Hu et al. 2018).
      dropout_rate: the share of values that are dropped within each block, in [0, 1).
      norm: "batch", or "group" for groups of 8 channels.
      activation: "relu", or "celu" as in AutoDO's networks.
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: there is no such depth or stem, or an option is out of range.
    """

    num_classes: int
    depth: int = 110
    stem: str = "small"
    squeeze_excite: bool = False
    dropout_rate: float = 0.0
    norm: str = "batch"
    activation: str = "relu"
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("resnet", self.num_classes, self.dtype, self.dropout_rate)
        layers.require_one_of("resnet", "norm", self.norm, layers.NORMS)
        layers.require_one_of("resnet", "activation", self.activation, layers.ACTIVATIONS)
        plan(self.depth, self.stem)
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        bottleneck, stages, base, init = plan(self.depth, self.stem)
        style = layers.Style(self.norm, self.activation, init, self.dtype)
        options: dict[str, Any] = {
            "squeeze_excite": self.squeeze_excite,
            "dropout_rate": self.dropout_rate,
            "style": style,
        }
        if self.stem == "small":
            maps = layers.activate(layers.conv(base, 3, init=init, dtype=self.dtype)(image), style, train)
        else:
            maps = layers.imagenet_stem(image, base, style, train, deep=self.stem == "deep")
        for stage, blocks in enumerate(stages):
            width = base * 2**stage
            for block in range(blocks):
                name, stride = f"stage{stage + 1}_block{block + 1}", 2 if stage and not block else 1
                module: layers.Bottleneck | Basic
                if bottleneck:
                    module = layers.Bottleneck(width, EXPANSION * width, stride, **options, name=name)
                else:
                    module = Basic(width, stride, **options, name=name)
                maps = module(maps, train)
        return layers.classify(maps, self.num_classes)
