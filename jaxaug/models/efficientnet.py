"""EfficientNets: inverted bottlenecks with depthwise convolutions, gated channels and SiLU."""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.models import layers


class Stage(NamedTuple):
    """A row of Tan and Le 2019, table 1: expansion, size of the depthwise convolution, stride, channels, blocks."""

    expansion: int
    size: int
    stride: int
    features: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
STEM, LAST_OVER_FEATURES = 32, 4  # table 1: 32 channels first, 1280 last
SQUEEZE = 4  # the gate's hidden layer is a quarter of what enters the block


def round_width(channels: float) -> int:
    """The nearest multiple of 8 that is not more than 10 % below, as in the released code."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class Gate(nn.Module):
    """Scale each channel by a gate in (0, 1) from the global average through `hidden` channels: [B H W C] -> same."""

    hidden: int
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, maps: jax.Array) -> jax.Array:
        gate = maps.mean((1, 2), keepdims=True)
        gate = nn.silu(layers.conv(self.hidden, 1, bias=True, dtype=self.dtype, name="reduce")(gate))
        return maps * nn.sigmoid(layers.conv(maps.shape[-1], 1, bias=True, dtype=self.dtype, name="expand")(gate))


class Block(nn.Module):
    """Inverted bottleneck, [B H W C] -> [B ceil(H/stride) ceil(W/stride) features]; its branch may be left out."""

    stage: Stage
    features: int
    stride: int
    drop_path_rate: float = 0.0
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        channels = maps.shape[-1]
        wide = channels * self.stage.expansion
        out = maps
        if self.stage.expansion > 1:
            out = layers.conv(wide, 1, dtype=self.dtype, name="expand")(out)
            out = nn.silu(layers.batch_norm(train, self.dtype, "expand_norm")(out))
        out = layers.conv(wide, self.stage.size, self.stride, groups=wide, dtype=self.dtype, name="depthwise")(out)
        out = nn.silu(layers.batch_norm(train, self.dtype, "depthwise_norm")(out))
        out = Gate(max(1, channels // SQUEEZE), self.dtype, name="gate")(out)
        out = layers.conv(self.features, 1, dtype=self.dtype, name="project")(out)
        out = layers.batch_norm(train, self.dtype, "project_norm")(out)
        if self.stride == 1 and channels == self.features:
            return maps + layers.drop_path(out, self.drop_path_rate, train)
        return out


@register("model", "efficientnet")
class EfficientNet(nn.Module):
    """EfficientNet-B0 and, by the two factors, its larger ones: image [B H W C] -> (features [B D], logits [B K]).

    Tan and Le, EfficientNet, ICML 2019, table 1; D is 1280 for B0. B1 to B4 have (width, depth) factors of (1, 1.1),
    (1.1, 1.2), (1.2, 1.4) and (1.4, 1.8).

    Attributes:
      num_classes: K, how many classes the head tells apart.
      width_factor: times the channels of B0.
      depth_factor: times the blocks of a stage of B0, rounded up.
      dropout_rate: the share of features that are dropped before the head, in [0, 1).
      drop_path_rate: how often the branch of a block is left out for an example, in [0, 1); block i of n has i/n of it.
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    num_classes: int
    width_factor: float = 1.0
    depth_factor: float = 1.0
    dropout_rate: float = 0.2
    drop_path_rate: float = 0.2
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("efficientnet", self.num_classes, self.dtype, self.dropout_rate)
        layers.check_rate("efficientnet", "drop_path_rate", self.drop_path_rate)
        for name in ("width_factor", "depth_factor"):
            value = getattr(self, name)
            layers.require(value > 0, f"efficientnet: {name} must be positive (1.0 is B0), not {value}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        maps = layers.conv(round_width(STEM * self.width_factor), 3, 2, dtype=self.dtype, name="stem")(image)
        maps = nn.silu(layers.batch_norm(train, self.dtype, "stem_norm")(maps))
        counts = [math.ceil(stage.blocks * self.depth_factor) for stage in STAGES]
        rates = iter([self.drop_path_rate * index / sum(counts) for index in range(sum(counts))])
        for number, (stage, count) in enumerate(zip(STAGES, counts, strict=True), 1):
            features = round_width(stage.features * self.width_factor)
            for block in range(count):
                stride, name = 1 if block else stage.stride, f"stage{number}_block{block + 1}"
                maps = Block(stage, features, stride, next(rates), self.dtype, name=name)(maps, train)
        maps = layers.conv(LAST_OVER_FEATURES * features, 1, dtype=self.dtype, name="last")(maps)
        maps = nn.silu(layers.batch_norm(train, self.dtype, "last_norm")(maps))
        mean = maps.astype(jnp.float32).mean((1, 2))
        return layers.with_head(layers.dropout(mean, self.dropout_rate, train), self.num_classes)
