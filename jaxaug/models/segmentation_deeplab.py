"""DeepLab v3 and v3+: a dilated ResNet, and its maps through convolutions with holes of several sizes."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.maps import resize_bilinear
from jaxaug.core.registry import register
from jaxaug.models import layers
from jaxaug.models.segmentation_backbone import SegmentationNet, Stages

RATES = {8: (12, 24, 36), 16: (6, 12, 18)}  # Chen et al. 2017, table 6: doubled with the resolution
BRANCH = 256  # channels of each branch
LOW_LEVEL = 48  # channels of stage 1 in the decoder, Chen et al. 2018, table 1


class _AtrousPyramid(SegmentationNet):
    """DeepLab's, with its options."""

    features: int = 256
    branch: int = BRANCH

    def pyramid(self, stages: Stages, train: bool) -> jax.Array:
        """[B h w D]: five branches of stage 4 (1x1, three 3x3 with holes, the whole image), through one 1x1."""
        maps = stages.fourth
        found = [self.unit(maps, self.branch, 1, train)]
        found += [self.unit(maps, self.branch, 3, train, rate) for rate in RATES[self.output_stride]]
        whole = self.unit(maps.mean((1, 2), keepdims=True), self.branch, 1, train)
        found.append(jnp.broadcast_to(whole, found[0].shape))
        features = self.unit(jnp.concatenate(found, axis=-1), self.features, 1, train)
        return layers.channel_dropout(features, self.dropout_rate, train)


@register("model", "deeplab_v3")
class DeepLabV3(_AtrousPyramid):
    """Image [B H W C] -> (features [B h w D], logits [B h w K]), h and w those of the image / output stride, up.

    Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, 2017; by default torchvision's, with as
    many parameters. In training a second head speaks at stage 3. What ISDA's code trains is deep_stem, dilate_first,
    features=512, refine=False, auxiliary_features=512, activation="leaky_relu".

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers of the backbone: 50, 101 or 152; 14 or 26 for tests and CPUs.
      output_stride: 8 or 16; the holes behind the backbone are 12, 24 and 36, or half of it.
      deep_stem, dilate_first, width: of the backbone, as in the model "pspnet".
      features: D.
      branch: channels of each of the five branches.
      refine: whether a 3x3 convolution follows the one that joins the branches.
      activation: of the layers behind the backbone: "relu", "celu" or "leaky_relu".
      auxiliary: whether there is a second head.
      auxiliary_features: what it sees, channels.
      dropout_rate: the share of channels that are dropped behind the branches, in [0, 1).
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    refine: bool = True

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple:
        stages = self.encode(image, train)
        features = self.pyramid(stages, train)
        features = self.unit(features, self.features, 3, train) if self.refine else features
        return self.answer(features, stages, train)


@register("model", "deeplab_v3_plus")
class DeepLabV3Plus(_AtrousPyramid):
    """Image [B H W C] -> (features [B H/4 W/4 D], logits [B H/4 W/4 K]), sides rounded up.

    Chen et al., Encoder-Decoder with Atrous Separable Convolution, ECCV 2018, on a ResNet, with plain convolutions:
    what DeepLab v3 finds is brought to a quarter of the image's size, and goes with 48 channels of stage 1 through two
    3x3 convolutions. In training a second head speaks at stage 3.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: layers of the backbone: 50, 101 or 152; 14 or 26 for tests and CPUs.
      output_stride: 16 or 8; the holes behind the backbone are 6, 12 and 18, or twice of it.
      deep_stem, dilate_first, width: of the backbone, as in the model "pspnet".
      features: D.
      branch: channels of each of the five branches.
      activation: of the layers behind the backbone: "relu", "celu" or "leaky_relu".
      auxiliary: whether there is a second head.
      auxiliary_features: what it sees, channels.
      dropout_rate: the share of channels that are dropped behind the branches, in [0, 1).
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range.
    """

    output_stride: int = 16

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple:
        stages = self.encode(image, train)
        low = self.unit(stages.first, LOW_LEVEL, 1, train)
        features = resize_bilinear(self.pyramid(stages, train), (low.shape[1], low.shape[2]))
        features = jnp.concatenate([features, low], axis=-1)
        for _ in range(2):
            features = self.unit(features, self.features, 3, train)
        return self.answer(features, stages, train)
