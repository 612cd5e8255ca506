"""The records that the schedulers pass on: samples, what was drawn for them, what is known beforehand."""

from __future__ import annotations

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.ops import float32, uint8
from jaxaug.ops.backend import PixelBackend
from jaxaug.ops.numpy_uint8 import cover_color
from jaxaug.ops.registry import Op, find_op


class Sample(flax.struct.PyTreeNode):
    """Images channels first.

    Attributes:
      image: [.. C H W], in the dtype of the backend.
      label: a label map [.. H W] int32, or None.
    """

    image: jax.Array
    label: jax.Array | None = None


class SampledOps(flax.struct.PyTreeNode):
    """What was drawn for each image and layer.

    Attributes:
      op: [B L] int32, a position in the settings' `names`.
      value: [B L] float32, physical.
      random: [B L 4] uniform in [0, 1), for ops with chance of their own.
      fixed: [B L 6] int32, the 16.16 coefficients of the displacements where the host could compute them in float64, as
        PIL does; or None.
      gate: [B L], how much of the op's effect is taken, for derivatives in probabilities; or None.
      score: [B], 0, for derivatives in the shares of sub-policies (`policies.learnable.score_function`); or None.
    """

    op: jax.Array
    value: jax.Array
    random: jax.Array
    fixed: jax.Array | None = None
    gate: jax.Array | None = None
    score: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class ExecutionSettings:
    """What is known before anything is drawn.

    Attributes:
      names: of the ops.
      cover: the color, one number per channel or one for all, of what is erased and of what a crop uncovers; other
        displacements uncover black.
      exact: PIL's uint8 backend, else differentiable float32.
      scheduler: "map" or "fused", see `execute`; or "auto", by `core.target`.
      border: "fill", or "edge" where what a displacement uncovers repeats the nearest pixel instead (not if exact).
      ops: of the names, as they were registered when the settings were made.
    """

    names: tuple[str, ...]
    cover: tuple[float, ...] = (0.0,)
    exact: bool = True
    scheduler: str = "map"
    border: str = "fill"
    ops: tuple[Op, ...] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        # A field, so that an op written anew in a notebook is compiled anew.
        object.__setattr__(self, "ops", tuple(find_op(name) for name in self.names))

    @property
    def backend(self) -> PixelBackend:
        return uint8 if self.exact else float32

    def color(self, channels: int) -> np.ndarray:
        """[C] float32: the cover of images with that many channels."""
        return cover_color(self.cover, channels)


def begin_sample(images: jax.Array | np.ndarray, settings: ExecutionSettings, label: jax.Array | None = None) -> Sample:
    """Images [B H W C] and label maps [B H W] as a sample, in the dtype of the settings' backend."""
    images = jnp.asarray(images)
    if settings.exact and images.dtype != jnp.uint8:
        images = uint8.rounded(images)
    images = images.astype(jnp.uint8 if settings.exact else jnp.float32)
    # Plane by plane: on CPUs half the time of a transpose.
    return Sample(jnp.stack([images[..., c] for c in range(images.shape[3])], axis=1), label)
