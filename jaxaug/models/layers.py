"""Blocks that several model families share, their initialisers and the classifier."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError

# N(0, sqrt(2 / (k k C_out))), the rule of the CIFAR code that ISDA and Soft Augmentation (WRN) train from.
HE_FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# N(0, sqrt(2 / (k k C_in))), He et al. 2015, eq. 10; what Shake-Shake uses.
HE_FAN_IN = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
# U(-1, 1) / sqrt(fan_in), PyTorch's default (kaiming_uniform with a = sqrt 5): layers no paper speaks about.
TORCH_DEFAULT = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform")
INITIALISERS = {"he_fan_out": HE_FAN_OUT, "he_fan_in": HE_FAN_IN, "pytorch": TORCH_DEFAULT}
# leaky_relu: with the slope 0.01, which the norms of ISDA's segmentation code have.
ACTIVATIONS = {"relu": nn.relu, "celu": nn.celu, "leaky_relu": nn.leaky_relu}
NORMS = ("batch", "group")
STEMS = ("small", "imagenet")
SE_REDUCTION = 16  # Hu et al. 2018, their default r
CHANNELS_PER_GROUP = 8  # of the networks that DeepAA evaluates with, which are TrivialAugment's
LAYER_NORM_EPSILON = 1e-6  # of ViT and ConvNeXt


class Style(NamedTuple):
    """What all layers of a residual network have in common: norm, activation (names), initialiser and dtype."""

    norm: str = "batch"
    activation: str = "relu"
    init: Callable = HE_FAN_OUT
    dtype: Any = "float32"


def require(condition: bool, message: str) -> None:
    """Raise `UsageError(message)` unless `condition` holds."""
    if not condition:
        raise UsageError(message)


def require_one_of(model: str, name: str, value: Any, known: Any) -> None:
    """Raise `UsageError` unless an option of a model is one of the known values."""
    require(value in known, f"{model}: {name} must be one of {', '.join(map(str, known))}, not {value!r}")


def check_rate(model: str, name: str, rate: float) -> None:
    """Raise `UsageError` unless an option of a model is a rate of dropping, in [0, 1)."""
    require(0.0 <= rate < 1.0, f"{model}: {name} must be in [0, 1), not {rate}")


def check_common(name: str, num_classes: int, dtype: Any, dropout_rate: float = 0.0) -> None:
    """Raise `UsageError` unless num_classes >= 1, dropout in [0, 1) and dtype float32 or bfloat16."""
    require(num_classes >= 1, f"{name}: num_classes must be at least 1, not {num_classes}")
    check_rate(name, "dropout_rate", dropout_rate)
    try:
        known = jnp.dtype(dtype) in (jnp.float32, jnp.bfloat16)
    except TypeError:
        known = False
    require(known, f"{name}: dtype must be 'float32' or 'bfloat16', not {dtype!r}")


def conv(
    features: int,
    size: int,
    stride: int = 1,
    *,
    groups: int = 1,
    dilation: int = 1,
    bias: bool = False,
    init: Callable = HE_FAN_OUT,
    bias_init: Callable = nn.initializers.zeros,
    dtype: Any = "float32",
    name: str | None = None,
) -> nn.Conv:
    """Make a convolution of odd `size`, [B H W C] -> [B ceil(H/stride) ceil(W/stride) features]."""
    # Symmetric padding as in the papers' code; "SAME" pads only the far side of an even image under stride 2.
    return nn.Conv(
        features,
        (size, size),
        strides=stride,
        padding=dilation * (size // 2),
        kernel_dilation=dilation,
        feature_group_count=groups,
        use_bias=bias,
        kernel_init=init,
        bias_init=bias_init,
        dtype=jnp.dtype(dtype),
        name=name,
    )


def max_of_pairs(maps: jax.Array) -> jax.Array:
    """The largest of two by two values, [B H W C] -> [B H/2 W/2 C]; an odd last row or column is left out.

    The same values as `nn.max_pool`, whose gradient takes the time of the convolutions on a CPU. A side of 1 stays.
    """
    for axis in (1, 2):
        pairs = maps.shape[axis] // 2
        if pairs:
            first, second = (jax.lax.slice_in_dim(maps, i, 2 * pairs - 1 + i, 2, axis) for i in (0, 1))
            maps = jnp.maximum(first, second)
    return maps


def uniform_bias(fan_in: int) -> Callable:
    """PyTorch's initialiser of a bias behind `fan_in` inputs, U(-1, 1) / sqrt(fan_in)."""

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -(fan_in**-0.5), fan_in**-0.5)

    return init


def batch_norm(train: bool, dtype: Any = "float32", name: str | None = None) -> nn.BatchNorm:
    """Make a batch norm (momentum 0.9, epsilon 1e-5) whose statistics and parameters are float32."""
    dtype = jnp.dtype(dtype)
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, name=name)


def layer_norm(dtype: Any = "float32", name: str | None = None) -> nn.LayerNorm:
    """Make a norm over the channels alone (epsilon 1e-6), [... C] -> [... C], whose parameters are float32."""
    return nn.LayerNorm(LAYER_NORM_EPSILON, dtype=jnp.dtype(dtype), name=name)


def normalize(maps: jax.Array, style: Style, train: bool) -> jax.Array:
    """Apply the norm of a style, [B H W C] -> [B H W C]; groups have 8 channels (Wu and He, ECCV 2018)."""
    if style.norm == "batch":
        return batch_norm(train, style.dtype)(maps)
    groups = max(maps.shape[-1] // CHANNELS_PER_GROUP, 1)
    return nn.GroupNorm(groups, epsilon=1e-5, dtype=jnp.dtype(style.dtype))(maps)


def activate(maps: jax.Array, style: Style, train: bool) -> jax.Array:
    """Apply the norm and the activation of a style, [B H W C] -> [B H W C]."""
    return ACTIVATIONS[style.activation](normalize(maps, style, train))


def dropout(maps: jax.Array, rate: float, train: bool) -> jax.Array:
    """Drop values with probability `rate` in training, any shape; draws from rng collection "dropout"."""
    return nn.Dropout(rate, deterministic=not train)(maps)


def channel_dropout(maps: jax.Array, rate: float, train: bool) -> jax.Array:
    """Drop whole channels of an example with probability `rate` in training, [B H W C], as `dropout` does values."""
    return nn.Dropout(rate, broadcast_dims=(1, 2), deterministic=not train)(maps)


def drop_path(branch: jax.Array, rate: float, train: bool) -> jax.Array:
    """Leave out the whole branch of an example with probability `rate` in training, else divide it by 1 - rate.

    Huang et al., Deep Networks with Stochastic Depth, ECCV 2016; [B ...], draws from rng collection "dropout".
    """
    return nn.Dropout(rate, broadcast_dims=tuple(range(1, branch.ndim)), deterministic=not train)(branch)


def scale(maps: jax.Array, forward: jax.Array, backward: jax.Array) -> jax.Array:
    """Return forward * maps [B H W C], differentiated as if it were backward * maps; both broadcast to the maps.

    The trick of Shake-Shake (Gastaldi 2017) and ShakeDrop (Yamada et al. 2019), at any order of differentiation.
    """
    # A stopped gradient instead of a custom_vjp, which would rule out jvp and Hessian-vector products.
    return backward * maps + jax.lax.stop_gradient((forward - backward) * maps)


def shortcut(maps: jax.Array, features: int, stride: int, style: Style, train: bool) -> jax.Array:
    """Option B: a 1x1 convolution and a norm where the shape changes, else the identity, on [B H W C].

    He et al., Deep Residual Learning, CVPR 2016, table 3.
    """
    if stride == 1 and maps.shape[-1] == features:
        return maps
    return normalize(conv(features, 1, stride, init=style.init, dtype=style.dtype)(maps), style, train)


def imagenet_stem(image: jax.Array, width: int, style: Style, train: bool, deep: bool = False) -> jax.Array:
    """A 7x7 convolution of stride 2 and a max-pool, [B H W C] -> [B H/4 W/4 width]. He et al. 2016, table 1.

    deep: three 3x3 ones instead, the first of stride 2, the last twice as wide, as Zhao et al., CVPR 2017, train it.
    """
    maps = image
    for size, stride, features in ((3, 2, width), (3, 1, width), (3, 1, 2 * width)) if deep else ((7, 2, width),):
        maps = activate(conv(features, size, stride, init=style.init, dtype=style.dtype)(maps), style, train)
    return nn.max_pool(maps, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate in (0, 1) from the global average, [B H W C] -> [B H W C], C >= 16.

    Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, eq. 2 to 4, without biases.
    """

    dtype: Any = "float32"

    @nn.compact
    def __call__(self, maps: jax.Array) -> jax.Array:
        channels = maps.shape[-1]
        gate = maps.mean((1, 2), keepdims=True)
        for index, features in enumerate((channels // SE_REDUCTION, channels)):
            gate = nn.relu(gate) if index else gate
            gate = nn.Dense(features, use_bias=False, kernel_init=TORCH_DEFAULT, dtype=jnp.dtype(self.dtype))(gate)
        return maps * nn.sigmoid(gate)


class Bottleneck(nn.Module):
    """Post-activation 1x1, 3x3, 1x1 residual block, [B H W C] -> [B ceil(H/stride) ceil(W/stride) features].

    He et al. 2016, figure 5, with the stride on the 3x3; grouped, it is type C of Xie et al. 2017, figure 3.
    """

    width: int
    features: int
    stride: int = 1
    groups: int = 1
    dilation: int = 1
    squeeze_excite: bool = False
    dropout_rate: float = 0.0
    style: Style = Style()

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        style = self.style
        shared = {"init": style.init, "dtype": style.dtype}
        out = activate(conv(self.width, 1, **shared)(maps), style, train)
        out = dropout(out, self.dropout_rate, train)
        out = conv(self.width, 3, self.stride, groups=self.groups, dilation=self.dilation, **shared)(out)
        out = activate(out, style, train)
        out = normalize(conv(self.features, 1, **shared)(out), style, train)
        out = SqueezeExcite(style.dtype)(out) if self.squeeze_excite else out
        out = out + shortcut(maps, self.features, self.stride, style, train)
        return ACTIVATIONS[style.activation](out)


def classify(maps: jax.Array, num_classes: int) -> tuple[jax.Array, jax.Array]:
    """Average over space, apply the Dense `head`: [B H W D] -> (features [B D], logits [B K]), float32.

    Call it in the model itself, so that its kernel is params["head"]["kernel"] [D K].
    """
    return with_head(maps.astype(jnp.float32).mean((1, 2)), num_classes)


def with_head(
    features: jax.Array, num_classes: int, bias_init: Callable | None = None, name: str = "head"
) -> tuple[jax.Array, jax.Array]:
    """Apply the Dense `head`: features [... D] -> (features [... D], logits [... K]), float32. See `classify`."""
    features = features.astype(jnp.float32)
    bias_init = bias_init or uniform_bias(features.shape[-1])
    head = nn.Dense(num_classes, name=name, kernel_init=TORCH_DEFAULT, bias_init=bias_init, dtype=jnp.float32)
    return features, head(features)
