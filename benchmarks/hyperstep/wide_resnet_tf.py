"""The wide residual network that DeepAA's released search uses (TensorFlow), for a config's `model`."""

from __future__ import annotations

import flax.linen as nn
import jax

from jaxaug.models import layers


class WideResNetTF(nn.Module):
    """As `jaxaug.models.wide_resnet`, but convolutions have a bias, the second one of a block has the stride, and the
    shortcut starts from the raw maps: [B H W C] -> (features [B D], logits [B K]).

    The first convolution of a narrowing block then sees four times the pixels: an image costs half as much again at
    depth 10. 77,706 parameters at depth 10 and widen_factor 1, without BatchNorm's.
    """

    num_classes: int
    depth: int = 10
    widen_factor: int = 1

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        def active(maps: jax.Array) -> jax.Array:
            return nn.relu(layers.batch_norm(train)(maps))

        maps = nn.Conv(16, (3, 3))(image)
        for stage in range(3):
            for block in range((self.depth - 4) // 6):
                features, stride = 16 * self.widen_factor * 2**stage, 2 if stage and not block else 1
                inner = nn.Conv(features, (3, 3))(active(maps))
                inner = nn.Conv(features, (3, 3), strides=stride)(active(inner))
                if maps.shape[-1] != features or stride != 1:
                    maps = nn.Conv(features, (1, 1), strides=stride)(maps)
                maps = inner + maps
        return layers.classify(active(maps), self.num_classes)
