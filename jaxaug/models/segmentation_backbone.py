"""ResNets whose last stages are dilated instead of strided, what networks for label maps begin with."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax

from jaxaug.models import layers
from jaxaug.models.resnet import EXPANSION, WIDE_STAGES

# Blocks per stage: of He et al. 2016, and of timm's bottleneck networks of 14 and 26 layers, for tests and CPUs.
BLOCKS = {14: (1, 1, 1, 1), 26: (2, 2, 2, 2), **{depth: WIDE_STAGES[depth][1] for depth in (50, 101, 152)}}
OUTPUT_STRIDES = (8, 16)


class Stages(NamedTuple):
    """Maps [B h w C] after stage 1 (at a quarter of the image's size), 3 and 4 (at 1 / output stride)."""

    first: jax.Array
    third: jax.Array
    fourth: jax.Array


class DilatedResNet(nn.Module):
    """ResNet for ImageNet without its head, [B H W C] -> `Stages`; 4, 16 and 32 widths of channels.

    Chen et al., DeepLab, T-PAMI 2018. Its parameters are called as those of the model "resnet" with ImageNet's stem.

    Attributes:
      depth: layers, one of `BLOCKS`.
      output_stride: of stage 4, 8 or 16; where a stage is not strided its 3x3 convolutions have holes.
      deep_stem: three 3x3 convolutions of 64, 64 and 128 channels instead of the 7x7 one.
      dilate_first: whether the first block of a stage has the holes of the others, or those of the stage before.
      width: channels of the stem.
      dtype: of the computation.
    """

    depth: int = 50
    output_stride: int = 8
    deep_stem: bool = False
    dilate_first: bool = False
    width: int = 64
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> Stages:
        style = layers.Style(dtype=self.dtype)
        maps = layers.imagenet_stem(image, self.width, style, train, deep=self.deep_stem)
        stride, dilation, found = 4, 1, []
        for stage, blocks in enumerate(BLOCKS[self.depth]):
            before, step = dilation, 2 if stage else 1
            if stride * step > self.output_stride:
                dilation, step = dilation * step, 1
            stride *= step
            width = self.width * 2**stage
            for block in range(blocks):
                maps = layers.Bottleneck(
                    width,
                    EXPANSION * width,
                    1 if block else step,
                    dilation=dilation if block or self.dilate_first else before,
                    style=style,
                    name=f"stage{stage + 1}_block{block + 1}",
                )(maps, train)
            found.append(maps)
        return Stages(found[0], found[2], found[3])


class SegmentationNet(nn.Module):
    """What networks on a dilated ResNet have in common; `__call__` is theirs.

    Attributes: see `jaxaug.models.segmentation_pspnet.PSPNet`.
    """

    num_classes: int
    depth: int = 50
    output_stride: int = 8
    deep_stem: bool = False
    dilate_first: bool = False
    width: int = 64
    features: int = 512
    activation: str = "relu"
    auxiliary: bool = True
    auxiliary_features: int = 256
    dropout_rate: float = 0.1
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        name = type(self).__name__.lower()
        layers.check_common(name, self.num_classes, self.dtype, self.dropout_rate)
        layers.require_one_of(name, "depth", self.depth, BLOCKS)
        layers.require_one_of(name, "output_stride", self.output_stride, OUTPUT_STRIDES)
        layers.require_one_of(name, "activation", self.activation, layers.ACTIVATIONS)
        least = min(self.width, self.features, self.auxiliary_features)
        layers.require(least >= 1, f"{name}: width, features and auxiliary_features must be at least 1, not {least}")
        super().__post_init__()

    @property
    def style(self) -> layers.Style:
        """Of the layers behind the backbone."""
        return layers.Style(activation=self.activation, dtype=self.dtype)

    def encode(self, image: jax.Array, train: bool) -> Stages:
        """The backbone's maps."""
        options = (self.depth, self.output_stride, self.deep_stem, self.dilate_first, self.width, self.dtype)
        return DilatedResNet(*options, name="backbone")(image, train)

    def unit(self, maps: jax.Array, features: int, size: int, train: bool, dilation: int = 1) -> jax.Array:
        """A convolution, a norm and the activation: [B h w C] -> [B h w features]."""
        maps = layers.conv(features, size, dilation=dilation, dtype=self.dtype)(maps)
        return layers.activate(maps, self.style, train)

    def answer(self, features: jax.Array, stages: Stages, train: bool) -> tuple:
        """(features, logits), and as a third the second head's of stage 3, in training."""
        found = layers.with_head(features, self.num_classes)
        if not self.auxiliary or not (train or self.is_initializing()):
            return found
        middle = self.unit(stages.third, self.auxiliary_features, 3, train)
        middle = layers.channel_dropout(middle, self.dropout_rate, train)
        return (*found, layers.with_head(middle, self.num_classes, name="auxiliary_head"))
