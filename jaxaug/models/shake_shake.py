"""Shake-Shake networks: two residual branches mixed at random, by other shares backward than forward."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.models import layers


def shake(first: jax.Array, second: jax.Array, forward: jax.Array, backward: jax.Array) -> jax.Array:
    """Mix two branches: forward * first + (1 - forward) * second, differentiated as if forward were backward.

    Branches [B H W C], shares [B 1 1 1] in [0, 1]. Gastaldi 2017, figure 1.
    """
    return second + layers.scale(first - second, forward, backward)


class Shake(nn.Module):
    """Mix two branches [B H W C] half and half, in training by two shares that each image draws, rng "dropout"."""

    @nn.compact
    def __call__(self, first: jax.Array, second: jax.Array, train: bool) -> jax.Array:
        if not train:
            return 0.5 * (first + second)
        draws = jax.random.uniform(self.make_rng("dropout"), (2, len(first), 1, 1, 1)).astype(first.dtype)
        return shake(first, second, draws[0], draws[1])


class Shortcut(nn.Module):
    """Two 1x1 paths, one of them a pixel further down and right, to half the features each.

    [B H W C] -> [B ceil(H/stride) ceil(W/stride) features]. Gastaldi 2017, downsampling skip connection.
    """

    features: int
    stride: int
    init: Callable = layers.HE_FAN_IN
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        maps = nn.relu(maps)
        shifted = jnp.pad(maps[:, 1:, 1:], ((0, 0), (0, 1), (0, 1), (0, 0)))
        halves = []
        for path in (maps, shifted):
            half = layers.conv(self.features // 2, 1, self.stride, init=self.init, dtype=self.dtype)
            halves.append(half(path))
        return layers.batch_norm(train, self.dtype)(jnp.concatenate(halves, axis=-1))


class Block(nn.Module):
    """Residual block of two shaken branches, [B H W C] -> [B ceil(H/stride) ceil(W/stride) features].

    Gastaldi 2017, figure 1; in training each image draws its own two shares from rng collection "dropout".
    """

    features: int
    stride: int = 1
    dtype: Any = "float32"

    def _branch(self, maps: jax.Array, train: bool) -> jax.Array:
        for stride in (self.stride, 1):
            maps = nn.relu(maps)
            maps = layers.conv(self.features, 3, stride, init=layers.HE_FAN_IN, dtype=self.dtype)(maps)
            maps = layers.batch_norm(train, self.dtype)(maps)
        return maps

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        first, second = self._branch(maps, train), self._branch(maps, train)
        mixed = Shake()(first, second, train)
        if maps.shape[-1] != self.features or self.stride != 1:
            # Only here: the released code also builds, and never calls, one where the shape stays.
            maps = Shortcut(self.features, self.stride, dtype=self.dtype)(maps, train)
        return mixed + maps


@register("model", "shake_shake")
class ShakeShake(nn.Module):
    """Shake-Shake-depth 2 x width d, image [B H W C] -> (features [B 4 width], logits [B K]).

    Gastaldi, Shake-Shake Regularization, 2017, table 1 (Shake-Shake-Image); ISDA, table 2.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers, 6n + 2: 8, 14, 20, 26.
      width: channels of the first stage, even: 32, 64, 96, 112.
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    num_classes: int
    depth: int = 26
    width: int = 32
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("shake_shake", self.num_classes, self.dtype)
        valid = self.depth >= 8 and self.depth % 6 == 2
        layers.require(valid, f"shake_shake: depth must be 6n+2 (8, 14, 20, 26), not {self.depth}")
        valid = isinstance(self.width, int) and self.width >= 2 and self.width % 2 == 0
        layers.require(valid, f"shake_shake: width must be even and positive (32, 64, 96, 112), not {self.width}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        # The bias is in the released code alone; the batch norm behind it cancels it, so it starts at 0 here.
        maps = layers.conv(16, 3, bias=True, init=layers.HE_FAN_IN, dtype=self.dtype)(image)
        maps = layers.batch_norm(train, self.dtype)(maps)
        for stage in range(3):
            for block in range((self.depth - 2) // 6):
                stride, name = 2 if stage and not block else 1, f"stage{stage + 1}_block{block + 1}"
                maps = Block(self.width * 2**stage, stride, self.dtype, name=name)(maps, train)
        return layers.classify(nn.relu(maps), self.num_classes)
