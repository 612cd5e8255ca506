"""Wide residual networks with pre-activation blocks, with or without squeeze-and-excite."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.models import layers


class Block(nn.Module):
    """Pre-activation block of two 3x3 convolutions, [B H W C] -> [B ceil(H/stride) ceil(W/stride) features].

    Zagoruyko and Komodakis 2016, figure 1d; the options are those of `WideResNet`.
    """

    features: int
    stride: int = 1
    dropout_rate: float = 0.0
    squeeze_excite: bool = False
    stride_on: int = 1
    raw_shortcut: bool = False
    conv_bias: bool = False
    style: layers.Style = layers.Style()

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        strides = (self.stride, 1) if self.stride_on == 1 else (1, self.stride)
        active = layers.activate(maps, self.style, train)
        out = convolve(active, self.features, 3, strides[0], self.style, self.conv_bias)
        out = layers.activate(out, self.style, train)
        out = layers.dropout(out, self.dropout_rate, train)
        out = convolve(out, self.features, 3, strides[1], self.style, self.conv_bias)
        out = layers.SqueezeExcite(self.style.dtype)(out) if self.squeeze_excite else out
        if maps.shape[-1] != self.features or self.stride != 1:
            # Shared pre-activation: where the width changes, the shortcut too starts from the activated maps.
            start = maps if self.raw_shortcut else active
            maps = convolve(start, self.features, 1, self.stride, self.style, self.conv_bias)
        return out + maps


def convolve(maps: jax.Array, features: int, size: int, stride: int, style: layers.Style, bias: bool) -> jax.Array:
    """A convolution of a style; its bias starts as PyTorch's where the kernel does, else at 0."""
    uniform = style.init is layers.TORCH_DEFAULT
    bias_init = layers.uniform_bias(size * size * maps.shape[-1]) if uniform else nn.initializers.zeros
    options = {"init": style.init, "bias": bias, "bias_init": bias_init, "dtype": style.dtype}
    return layers.conv(features, size, stride, **options)(maps)


@register("model", "wide_resnet")
class WideResNet(nn.Module):
    """WRN-depth-k, image [B H W C] -> (features [B 64k], logits [B K]).

    Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016, table 1; ISDA, table 2. The network that DeepAA
    evaluates with is `initialiser="pytorch", stride_on=2, raw_shortcut=True, conv_bias=True`, that of its search the
    same with `initialiser="he_fan_in"`, AutoDO's that of the evaluation with `activation="celu"`.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers, 6n + 4: 10, 16, 22, 28, 40.
      widen_factor: k, times 16 channels in the first stage.
      dropout_rate: the share of values that are dropped within each block, in [0, 1).
      squeeze_excite: whether each block gates its channels (Hu et al. 2018).
      stride_on: which convolution of a stage's first block halves the image, 1 or 2.
      raw_shortcut: whether a shortcut with a convolution starts from what enters the block, not from its activation.
      conv_bias: whether convolutions have a bias.
      initialiser: of the convolutions, "he_fan_out", "he_fan_in" (normal) or "pytorch" (uniform, a bias too).
      zero_head_bias: whether the bias of the head starts at 0, as in Soft Augmentation, not as PyTorch's.
      norm: "batch", or "group" for groups of 8 channels.
      activation: "relu" or "celu".
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    num_classes: int
    depth: int = 28
    widen_factor: int = 10
    dropout_rate: float = 0.0
    squeeze_excite: bool = False
    stride_on: int = 1
    raw_shortcut: bool = False
    conv_bias: bool = False
    initialiser: str = "he_fan_out"
    zero_head_bias: bool = False
    norm: str = "batch"
    activation: str = "relu"
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("wide_resnet", self.num_classes, self.dtype, self.dropout_rate)
        valid = self.depth >= 10 and self.depth % 6 == 4
        layers.require(valid, f"wide_resnet: depth must be 6n+4 (10, 16, 22, 28, 40), not {self.depth}")
        valid = isinstance(self.widen_factor, int) and self.widen_factor >= 1
        layers.require(valid, f"wide_resnet: widen_factor must be 1, 2, 3, ... (8 or 10), not {self.widen_factor}")
        known = {"stride_on": (1, 2), "initialiser": layers.INITIALISERS}
        for name, values in {**known, "norm": layers.NORMS, "activation": layers.ACTIVATIONS}.items():
            layers.require_one_of("wide_resnet", name, getattr(self, name), values)
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        style = layers.Style(self.norm, self.activation, layers.INITIALISERS[self.initialiser], self.dtype)
        maps = convolve(image, 16, 3, 1, style, self.conv_bias)
        for stage in range(3):
            for block in range((self.depth - 4) // 6):
                maps = Block(
                    16 * self.widen_factor * 2**stage,
                    stride=2 if stage and not block else 1,
                    dropout_rate=self.dropout_rate,
                    squeeze_excite=self.squeeze_excite,
                    stride_on=self.stride_on,
                    raw_shortcut=self.raw_shortcut,
                    conv_bias=self.conv_bias,
                    style=style,
                    name=f"stage{stage + 1}_block{block + 1}",
                )(maps, train)
        features = layers.activate(maps, style, train).astype(jnp.float32).mean((1, 2))
        return layers.with_head(features, self.num_classes, nn.initializers.zeros if self.zero_head_bias else None)
