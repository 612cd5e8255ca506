"""Blocks that several model families share, their initialisers and the classifier."""

from collections.abc import Callable
from typing import Any

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
SE_REDUCTION = 16  # Hu et al. 2018, their default r


def require(condition: bool, message: str) -> None:
    """Raise `UsageError(message)` unless `condition` holds."""
    if not condition:
        raise UsageError(message)


def check_common(name: str, num_classes: int, dtype: Any, dropout_rate: float = 0.0) -> None:
    """Raise `UsageError` unless num_classes >= 1, dropout in [0, 1) and dtype float32 or bfloat16."""
    require(num_classes >= 1, f"{name}: num_classes must be at least 1, not {num_classes}")
    require(0.0 <= dropout_rate < 1.0, f"{name}: dropout_rate must be in [0, 1), not {dropout_rate}")
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
    bias: bool = False,
    init: Callable = HE_FAN_OUT,
    dtype: Any = "float32",
) -> nn.Conv:
    """Make a convolution of odd `size`, [B H W C] -> [B ceil(H/stride) ceil(W/stride) features]."""
    # Symmetric padding as in the papers' code; "SAME" pads only the far side of an even image under stride 2.
    return nn.Conv(
        features,
        (size, size),
        strides=stride,
        padding=size // 2,
        feature_group_count=groups,
        use_bias=bias,
        kernel_init=init,
        dtype=jnp.dtype(dtype),
    )


def batch_norm(train: bool, dtype: Any = "float32") -> nn.BatchNorm:
    """Make a batch norm (momentum 0.9, epsilon 1e-5) whose statistics and parameters are float32."""
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=jnp.dtype(dtype))


def dropout(maps: jax.Array, rate: float, train: bool) -> jax.Array:
    """Drop values with probability `rate` in training, any shape; draws from rng collection "dropout"."""
    return nn.Dropout(rate, deterministic=not train)(maps)


def scale(maps: jax.Array, forward: jax.Array, backward: jax.Array) -> jax.Array:
    """Return forward * maps [B H W C], differentiated as if it were backward * maps; both broadcast to the maps.

    The trick of Shake-Shake (Gastaldi 2017) and ShakeDrop (Yamada et al. 2019), at any order of differentiation.
    """
    # A stopped gradient instead of a custom_vjp, which would rule out jvp and Hessian-vector products.
    return backward * maps + jax.lax.stop_gradient((forward - backward) * maps)


def shortcut(
    maps: jax.Array,
    features: int,
    stride: int,
    train: bool,
    *,
    init: Callable = HE_FAN_OUT,
    dtype: Any = "float32",
) -> jax.Array:
    """Option B: a 1x1 convolution and batch norm where the shape changes, else the identity, on [B H W C].

    He et al., Deep Residual Learning, CVPR 2016, table 3.
    """
    if stride == 1 and maps.shape[-1] == features:
        return maps
    return batch_norm(train, dtype)(conv(features, 1, stride, init=init, dtype=dtype)(maps))


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
    squeeze_excite: bool = False
    dropout_rate: float = 0.0
    init: Callable = HE_FAN_OUT
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        shared = {"init": self.init, "dtype": self.dtype}
        out = nn.relu(batch_norm(train, self.dtype)(conv(self.width, 1, **shared)(maps)))
        out = dropout(out, self.dropout_rate, train)
        out = conv(self.width, 3, self.stride, groups=self.groups, **shared)(out)
        out = nn.relu(batch_norm(train, self.dtype)(out))
        out = batch_norm(train, self.dtype)(conv(self.features, 1, **shared)(out))
        out = SqueezeExcite(self.dtype)(out) if self.squeeze_excite else out
        return nn.relu(out + shortcut(maps, self.features, self.stride, train, **shared))


def classify(maps: jax.Array, num_classes: int) -> tuple[jax.Array, jax.Array]:
    """Average over space, apply the Dense `head`: [B H W D] -> (features [B D], logits [B K]), float32.

    Call it in the model itself, so that its kernel is params["head"]["kernel"] [D K].
    """
    features = maps.astype(jnp.float32).mean((1, 2))
    bound = features.shape[-1] ** -0.5

    def init_bias(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    head = nn.Dense(num_classes, name="head", kernel_init=TORCH_DEFAULT, bias_init=init_bias, dtype=jnp.float32)
    return features, head(features)
