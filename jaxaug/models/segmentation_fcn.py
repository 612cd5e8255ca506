"""A small network for label maps, quick on a CPU."""

from typing import Any

import flax.linen as nn
import jax

from jaxaug.core.maps import resize_bilinear
from jaxaug.core.registry import register
from jaxaug.models import layers

DILATIONS = (1, 2, 4)  # of the residual blocks at an eighth of the image's size, so that they see 30 pixels of it


@register("model", "fcn")
class FCN(nn.Module):
    """Image [B H W C] -> (features [B H/4 W/4 D], logits [B H/4 W/4 K]), sides rounded up; D is the last width.

    Three halvings, dilated residual blocks and the average of the whole image at an eighth of its size, added to the
    maps at a quarter. From no paper, after Long et al., Fully Convolutional Networks, CVPR 2015: for tests and for
    training on a CPU. In training a second head speaks at a quarter, before the blocks.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      widths: channels at a half, a quarter and an eighth of the image's size, positive numbers.
      auxiliary: whether there is a second head.
      dropout_rate: the share of channels' values that are dropped before the head, in [0, 1).
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: there are not three widths, or an option is out of range.
    """

    num_classes: int
    widths: tuple[int, ...] = (16, 32, 64)
    auxiliary: bool = True
    dropout_rate: float = 0.0
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("fcn", self.num_classes, self.dtype, self.dropout_rate)
        valid = len(self.widths) == 3 and all(isinstance(width, int) and width >= 1 for width in self.widths)
        layers.require(valid, f"fcn: widths must be three positive numbers (16, 32, 64), not {self.widths}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple:
        half, quarter, eighth = self.widths

        def unit(maps: jax.Array, width: int, size: int = 3, stride: int = 1, dilation: int = 1) -> jax.Array:
            maps = layers.conv(width, size, stride, dilation=dilation, dtype=self.dtype)(maps)
            return layers.batch_norm(train, self.dtype)(maps)

        maps = nn.relu(unit(image, half, stride=2))
        fine = nn.relu(unit(nn.relu(unit(maps, quarter, stride=2)), quarter))
        maps = nn.relu(unit(fine, eighth, stride=2))
        for dilation in DILATIONS:
            maps = nn.relu(maps + unit(nn.relu(unit(maps, eighth, dilation=dilation)), eighth, dilation=dilation))
        whole = nn.relu(nn.Dense(eighth, dtype=self.dtype)(maps.mean((1, 2), keepdims=True)))
        coarse = resize_bilinear(unit(maps + whole, eighth, 1), (fine.shape[1], fine.shape[2]))
        features = nn.relu(coarse + unit(fine, eighth, 1))
        found = layers.with_head(layers.dropout(features, self.dropout_rate, train), self.num_classes)
        if not self.auxiliary or not (train or self.is_initializing()):
            return found
        return (*found, layers.with_head(nn.relu(unit(fine, eighth)), self.num_classes, name="auxiliary_head"))
