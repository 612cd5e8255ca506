"""PyramidNets with ShakeDrop: widths that grow by a little in every block, residual branches scaled at random."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.models import layers

EXPANSION = 4  # features of a bottleneck over its width, as in ResNet
GATE_PER = ("batch", "example")
FACTOR_PER = ("example", "element")


class ShakeDrop(nn.Module):
    """Multiply a branch [B H W C] by 1, or with probability `rate` by U(-1, 1) and its gradient by U(0, 1).

    Yamada et al. 2019, ShakeDrop, with their ranges for PyramidNet. Evaluation multiplies by the mean, 1 - rate.
    gate_per: "batch" (one choice for all its examples, as released) or "example". factor_per: "example" (as
    released) or "element" (as the paper puts it). Draws from rng collection "dropout".
    """

    rate: float
    gate_per: str = "batch"
    factor_per: str = "example"

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        if not train:
            return (1.0 - self.rate) * maps
        if self.rate == 0.0:
            return maps
        shapes = {"batch": (1, 1, 1, 1), "example": (len(maps), 1, 1, 1), "element": maps.shape}
        gate_key, forward_key, backward_key = jax.random.split(self.make_rng("dropout"), 3)
        keep = jax.random.bernoulli(gate_key, 1.0 - self.rate, shapes[self.gate_per])
        forward = jax.random.uniform(forward_key, shapes[self.factor_per], minval=-1.0)
        backward = jax.random.uniform(backward_key, shapes[self.factor_per])
        forward, backward = (jnp.where(keep, 1.0, factor).astype(maps.dtype) for factor in (forward, backward))
        return layers.scale(maps, forward, backward)


def shortcut(maps: jax.Array, features: int, stride: int) -> jax.Array:
    """Average 2x2 pixels if stride is 2, and append channels of zeros: [B H W C] -> [B ceil(H/s) ceil(W/s) features].

    Han et al. 2017, zero-padded identity shortcut. A window over the border averages what is inside.
    """
    if stride == 2:
        maps = nn.avg_pool(maps, (2, 2), strides=(2, 2), padding="SAME", count_include_pad=False)
    return jnp.pad(maps, ((0, 0), (0, 0), (0, 0), (0, features - maps.shape[-1])))


class Block(nn.Module):
    """Bottleneck without a first ReLU, batch norm at its end: [B H W C] -> [B ceil(H/s) ceil(W/s) 4 width].

    Han et al. 2017, figure 1e and their residual unit; `drop` scales the branch.
    """

    width: int
    drop: ShakeDrop
    stride: int = 1
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        out = layers.batch_norm(train, self.dtype)(maps)
        for size, stride in ((1, 1), (3, self.stride)):
            out = layers.conv(self.width, size, stride, dtype=self.dtype)(out)
            out = nn.relu(layers.batch_norm(train, self.dtype)(out))
        out = layers.conv(EXPANSION * self.width, 1, dtype=self.dtype)(out)
        out = self.drop(layers.batch_norm(train, self.dtype)(out), train)
        return out + shortcut(maps, EXPANSION * self.width, self.stride)


@register("model", "pyramidnet")
class PyramidNet(nn.Module):
    """PyramidNet-depth (alpha) of bottlenecks, image [B H W C] -> (features [B 4 (16 + alpha)], logits [B K]).

    Han et al., Deep Pyramidal Residual Networks, CVPR 2017, additive; Yamada et al., ShakeDrop Regularization for Deep
    Residual Learning, IEEE Access 2019; Soft Augmentation, pyramid272.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers, 9n + 2: 11, 110, 164, 200, 272.
      alpha: how many channels wider the last block is than the first convolution (16), above 0: 48, 84, 200, 270.
      drop_rate: how often the last block is scaled at random, in [0, 1); the rates before it grow towards it in a line.
      gate_per: what is chosen to be scaled, each "batch" (as released) or "example".
      factor_per: what has a random factor of its own, each "example" (as released) or "element" (as the paper says).
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    num_classes: int
    depth: int = 272
    alpha: float = 200
    drop_rate: float = 0.5
    gate_per: str = "batch"
    factor_per: str = "example"
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("pyramidnet", self.num_classes, self.dtype)
        valid = self.depth >= 11 and self.depth % 9 == 2
        layers.require(valid, f"pyramidnet: depth must be 9n+2 (11, 110, 164, 200, 272), not {self.depth}")
        layers.require(self.alpha > 0, f"pyramidnet: alpha must be positive (48, 84, 200, 270), not {self.alpha}")
        layers.require(0.0 <= self.drop_rate < 1.0, f"pyramidnet: drop_rate must be in [0, 1), not {self.drop_rate}")
        for name, known in (("gate_per", GATE_PER), ("factor_per", FACTOR_PER)):
            value = getattr(self, name)
            layers.require(value in known, f"pyramidnet: {name} must be one of {', '.join(known)}, not {value!r}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        maps = layers.batch_norm(train, self.dtype)(layers.conv(16, 3, dtype=self.dtype)(image))
        blocks = (self.depth - 2) // 3
        for index in range(blocks):
            stage, block = divmod(index, blocks // 3)
            share = (index + 1) / blocks
            drop = ShakeDrop(self.drop_rate * share, self.gate_per, self.factor_per, parent=None)
            maps = Block(
                round(16 + self.alpha * share),
                drop,
                stride=2 if stage and not block else 1,
                dtype=self.dtype,
                name=f"stage{stage + 1}_block{block + 1}",
            )(maps, train)
        maps = nn.relu(layers.batch_norm(train, self.dtype)(maps))
        return layers.classify(maps, self.num_classes)
