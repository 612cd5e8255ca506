"""A small plain network for small images, quick on a CPU."""

from typing import Any

import flax.linen as nn
import jax

from jaxaug.core.registry import register
from jaxaug.models import layers


@register("model", "convnet")
class ConvNet(nn.Module):
    """Stages of 3x3 convolution, batch norm, ReLU: image [B H W C] -> (features [B D], logits [B K]).

    Each stage but the first drops values; D is the last width. From no paper: for tests, demonstrations and searches
    where a ResNet takes too long.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      widths: channels of each stage, one or more positive numbers.
      dropout_rate: the share of values that are dropped before each stage but the first, in [0, 1).
      downsampling: "stride", by which the convolution of each stage but the first halves the image, or "max_pool", the
        largest of two by two values after the convolution of every stage.
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: there are no widths, or an option is out of range.
    """

    num_classes: int
    widths: tuple[int, ...] = (32, 64, 128)
    dropout_rate: float = 0.0
    downsampling: str = "stride"
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("convnet", self.num_classes, self.dtype, self.dropout_rate)
        layers.require_one_of("convnet", "downsampling", self.downsampling, ("stride", "max_pool"))
        valid = len(self.widths) > 0 and all(isinstance(width, int) and width >= 1 for width in self.widths)
        layers.require(valid, f"convnet: widths must be one or more positive numbers (32, 64, 128), not {self.widths}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        maps, pooled = image, self.downsampling == "max_pool"
        for stage, width in enumerate(self.widths):
            if stage:
                maps = layers.dropout(maps, self.dropout_rate, train)
            maps = layers.conv(width, 3, 2 if stage and not pooled else 1, dtype=self.dtype)(maps)
            maps = layers.max_of_pairs(maps) if pooled else maps
            maps = nn.relu(layers.batch_norm(train, self.dtype)(maps))
        return layers.classify(maps, self.num_classes)
