"""Images and values that a user hands over, checked before anything is compiled: shape, layout, dtype, scale."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.arguments import described, refuse_tensors
from jaxaug.core.errors import UsageError
from jaxaug.core.layout import SHAPES, check_layout
from jaxaug.ops.registry import Op


def check_images(name: str, images: Any, *, exact: bool = False, ranks: tuple[int, ...] = (4,)) -> None:
    """Checks images, and tells what to do with others.

    Args:
      name: of the function, for messages.
      images: what was given.
      exact: uint8 alone, else floats too.
      ranks: how many axes there may be, of 4 ([B H W C]) and 3 ([H W C]).

    Raises:
      UsageError: tensors of other frameworks, another shape or dtype, channels that do not come last.
    """
    refuse_tensors(name, "images", images, ", or use augment.Collate, which takes tensors and gives tensors")
    shape: tuple[int, ...] = tuple(getattr(images, "shape", ()))
    dtype = getattr(images, "dtype", None)
    fits = dtype == jnp.uint8 or (not exact and dtype is not None and jnp.issubdtype(dtype, jnp.floating))
    if not fits or len(shape) not in ranks:
        wanted = f"{'uint8' if exact else 'uint8 or float32'} {' or '.join(SHAPES[rank] for rank in ranks)}"
        got = described(images) if dtype is None else f"{dtype} of shape {shape}"
        raise UsageError(f"{name}: images must be {wanted}{' (or exact=False)' if exact else ''}, got {got}")
    check_layout(name, shape)


def check_scale_of(name: str, images: Any) -> None:
    """Raises UsageError for floats that are known and all lie within 0..1, where 0..255 is meant.

    Black ones say nothing of their scale.
    """
    known = not isinstance(images, jax.core.Tracer) and getattr(images, "is_fully_addressable", True)
    if not known or not images.size or not jnp.issubdtype(images.dtype, jnp.floating):
        return
    with jax.ensure_compile_time_eval():  # known images stay known while something else is traced
        least, most = float(images.min()), float(images.max())
    if least >= 0.0 and 0.0 < most <= 1.0:
        raise UsageError(
            f"{name}: images must be on the 0..255 scale, got floats within {least:.3g}..{most:.3g}: multiply them by "
            "255, and divide what comes out"
        )


def values_of(op: Op, value: Any, count: int) -> jax.Array | np.ndarray:
    """Amounts of an op, one or one for each image, as [B], of NumPy where they are known.

    Raises:
      UsageError: none where the op needs one, other than finite numbers, or another number of them.
    """
    if value is None and op.neutral is not None:
        raise UsageError(f"{op.name}: needs a value: {op.unit}")
    values = value if isinstance(value, jax.Array) else _numbers(op, 0.0 if value is None else value)
    if values.shape not in ((), (count,)):
        raise UsageError(
            f"{op.name}: value must have one number per image, shape ({count},), or be one, got {values.shape}"
        )
    if isinstance(values, jax.Array):
        known = not isinstance(values, jax.core.Tracer) and values.is_fully_addressable
        if known and not np.isfinite(np.asarray(values)).all():
            raise UsageError(f"{op.name}: value must be finite, got {values}")
        return jnp.broadcast_to(values, (count,))
    return np.broadcast_to(values, (count,))


def _numbers(op: Op, value: Any) -> np.ndarray:
    """Known values as an array."""
    try:
        values = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{op.name}: value must be numbers ({op.unit}), got {described(value)}") from None
    if not np.isfinite(values).all():
        raise UsageError(f"{op.name}: value must be finite, got {value}")
    return values
