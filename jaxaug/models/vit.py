"""Vision transformers: an image as a sequence of patches."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.registry import register
from jaxaug.models import layers

XAVIER = nn.initializers.xavier_uniform()  # of all matrices: Dosovitskiy et al.'s released code
POSITION = nn.initializers.normal(0.02)
POSITION_EMBEDDING = "position_embedding"


def resize_positions(embedding: jax.Array | np.ndarray, tokens: int) -> jax.Array:
    """A position embedding for images of another size, as timm has it: [1 1+n*n D] -> [1 tokens D].

    The class token's stays; the others, which lie on a square, are resized with a bicubic kernel that averages what is
    made smaller.

    Args:
      embedding: of a ViT.
      tokens: 1 + m * m.

    Raises:
      UsageError: either is not for square images.
    """
    old, new = math.isqrt(embedding.shape[1] - 1), math.isqrt(tokens - 1)
    valid = (old * old, new * new) == (embedding.shape[1] - 1, tokens - 1)
    layers.require(valid, f"vit: positions of {embedding.shape[1]} and {tokens} tokens are not those of square images")
    width = embedding.shape[2]
    grid = jnp.asarray(embedding[:, 1:], jnp.float32).reshape(1, old, old, width)
    grid = jax.image.resize(grid, (1, new, new, width), "bicubic")
    return jnp.concatenate([embedding[:, :1], grid.reshape(1, new * new, width)], axis=1)


def dense(features: int, dtype: Any, name: str) -> nn.Dense:
    """A Dense layer [... C] -> [... features] of a block."""
    return nn.Dense(features, kernel_init=XAVIER, dtype=jnp.dtype(dtype), name=name)


class Block(nn.Module):
    """Pre-norm self-attention and MLP, tokens [B T D] -> [B T D]. Dosovitskiy et al. 2021, eq. 2 and 3."""

    num_heads: int
    hidden: int
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: Any = "float32"

    def _attend(self, tokens: jax.Array) -> jax.Array:
        batch, length, width = tokens.shape
        parts = dense(3 * width, self.dtype, "query_key_value")(tokens)
        query, key, value = jnp.moveaxis(parts.reshape(batch, length, 3, self.num_heads, -1), 2, 0)
        mixed = jax.nn.dot_product_attention(query, key, value)
        return dense(width, self.dtype, "attention_output")(mixed.reshape(tokens.shape))

    def _mlp(self, tokens: jax.Array, train: bool) -> jax.Array:
        inner = nn.gelu(dense(self.hidden, self.dtype, "mlp_hidden")(tokens), approximate=False)
        inner = layers.dropout(inner, self.dropout_rate, train)
        return dense(tokens.shape[-1], self.dtype, "mlp_output")(inner)

    @nn.compact
    def __call__(self, tokens: jax.Array, train: bool) -> jax.Array:
        out = self._attend(layers.layer_norm(self.dtype, "attention_norm")(tokens))
        tokens = tokens + self._drop(out, train)
        out = self._mlp(layers.layer_norm(self.dtype, "mlp_norm")(tokens), train)
        return tokens + self._drop(out, train)

    def _drop(self, branch: jax.Array, train: bool) -> jax.Array:
        branch = layers.dropout(branch, self.dropout_rate, train)
        return layers.drop_path(branch, self.drop_path_rate, train)


@register("model", "vit")
class ViT(nn.Module):
    """Vision transformer with a class token, image [B H W C] -> (features [B width], logits [B K]).

    Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, table 1: ViT-B/16 is the default; ViT-S/16 (Touvron et
    al., DeiT, ICML 2021) has width 384 and 6 heads. The features are the class token behind the last norm. The position
    embedding belongs to one size of images (`resize_positions` for others); H and W are multiples of the patch.

    Attributes:
      num_classes: K, how many classes the head tells apart.
      depth: blocks.
      width: D of a token, a multiple of num_heads.
      num_heads: of the attention.
      mlp_ratio: hidden channels of the MLP over the width.
      patch_size: pixels of a patch's side.
      dropout_rate: the share of values that are dropped behind embedding, attention and MLP, in [0, 1).
      drop_path_rate: how often the branches of the last block are left out for an example, in [0, 1); the rates before
        it grow towards it in a line from 0.
      dtype: of the computation, "float32" or "bfloat16"; parameters, features and logits are float32.

    Raises:
      UsageError: an option is out of range, or the image is not made of patches.
    """

    num_classes: int
    depth: int = 12
    width: int = 768
    num_heads: int = 12
    mlp_ratio: float = 4.0
    patch_size: int = 16
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        layers.check_common("vit", self.num_classes, self.dtype, self.dropout_rate)
        layers.check_rate("vit", "drop_path_rate", self.drop_path_rate)
        for name in ("depth", "width", "num_heads", "patch_size"):
            value = getattr(self, name)
            layers.require(isinstance(value, int) and value >= 1, f"vit: {name} must be 1, 2, 3, ..., not {value}")
        layers.require(self.mlp_ratio > 0, f"vit: mlp_ratio must be positive (4), not {self.mlp_ratio}")
        valid = self.width % self.num_heads == 0
        layers.require(valid, f"vit: width must be a multiple of num_heads ({self.num_heads}), not {self.width}")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        tokens = self._embed(image)
        tokens = layers.dropout(tokens, self.dropout_rate, train)
        for index in range(self.depth):
            rate = self.drop_path_rate * index / max(self.depth - 1, 1)
            options = (self.num_heads, int(self.width * self.mlp_ratio), self.dropout_rate, rate, self.dtype)
            tokens = Block(*options, name=f"block{index + 1}")(tokens, train)
        return layers.with_head(layers.layer_norm(self.dtype, "last_norm")(tokens)[:, 0], self.num_classes)

    def _embed(self, image: jax.Array) -> jax.Array:
        """Patches as tokens behind the class token, with positions: [B H W C] -> [B 1+HW/patch^2 width]."""
        batch, height, width, _ = image.shape
        side = self.patch_size
        valid = height % side == 0 and width % side == 0
        layers.require(valid, f"vit: height and width must be multiples of {side} pixels, not {height} x {width}")
        patches = nn.Conv(
            self.width,
            (side, side),
            strides=side,
            padding="VALID",
            kernel_init=nn.initializers.lecun_normal(),
            dtype=jnp.dtype(self.dtype),
            name="patch_embedding",
        )(image)
        patches = patches.reshape(batch, -1, self.width)
        first = self.param("class_token", nn.initializers.zeros, (1, 1, self.width))
        tokens = jnp.concatenate([jnp.tile(first, (batch, 1, 1)).astype(patches.dtype), patches], axis=1)
        position = self.param(POSITION_EMBEDDING, POSITION, (1, *tokens.shape[1:]))
        return tokens + position.astype(tokens.dtype)
