"""PSPNet: a dilated ResNet, and its maps beside their averages over coarse grids."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.maps import resize_bilinear
from jaxaug.core.registry import register
from jaxaug.models import layers
from jaxaug.models.segmentation_backbone import SegmentationNet

BINS = (1, 2, 3, 6)


@register("model", "pspnet")
class PSPNet(SegmentationNet):
    """Image [B H W C] -> (features [B h w D], logits [B h w K]), h and w those of the image / output stride, up.

    Zhao et al., Pyramid Scene Parsing Network, CVPR 2017: the maps beside their averages over 1, 2, 3 and 6 squared
    cells, each through a 1x1 convolution, and a 3x3 convolution of all of it. In training a second head speaks at
    stage 3. What ISDA's code trains is deep_stem, dilate_first, auxiliary_features=512, activation="leaky_relu".

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers of the backbone: 50, 101 or 152; 14 or 26 for tests and CPUs.
      output_stride: 8 or 16.
      deep_stem: whether three 3x3 convolutions stand for the backbone's first one.
      dilate_first: whether the first block of a stage has the holes of the others, as in ISDA's code; else those of the
        stage before, by which the backbone is a classifier's at every place.
      width: channels of the backbone's stem.
      features: D, also the channels of each branch.
      activation: of the layers behind the backbone: "relu", "celu" or "leaky_relu".
      auxiliary: whether there is a second head.
      auxiliary_features: what it sees, channels.
      dropout_rate: the share of channels that are dropped before the heads, in [0, 1).
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple:
        stages = self.encode(image, train)
        maps, found = stages.fourth, [stages.fourth]
        for bins in BINS:
            branch = self.unit(pool_to(maps, bins), self.features, 1, train)
            found.append(resize_bilinear(branch, (maps.shape[1], maps.shape[2])))
        features = self.unit(jnp.concatenate(found, axis=-1), self.features, 3, train)
        return self.answer(layers.channel_dropout(features, self.dropout_rate, train), stages, train)


def pool_to(maps: jax.Array, bins: int) -> jax.Array:
    """The means over bins x bins cells, [B h w C] -> [B bins bins C]; cells share a row that their border divides."""
    rows, columns = (jnp.asarray(_cells(side, bins), maps.dtype) for side in maps.shape[1:3])
    return jnp.einsum("ah,bw,nhwc->nabc", rows, columns, maps)


def _cells(side: int, bins: int) -> np.ndarray:
    """[bins side]: how much of each row a cell takes; cell i is floor(i side / bins) .. ceil((i + 1) side / bins)."""
    cell, row = np.arange(bins)[:, None], np.arange(side)
    inside = (row >= cell * side // bins) & (row < -(-(cell + 1) * side // bins))
    return inside / inside.sum(axis=1, keepdims=True)
