"""The records that the executors pass on: samples, what was drawn for them, what is known beforehand."""

from __future__ import annotations

import dataclasses

import flax.struct
import jax
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.ops import float32, uint8
from jaxaug.ops.backend import Backend
from jaxaug.ops.registry import Op, find_op


class Sample(flax.struct.PyTreeNode):
    """Images channels first: image [.. C H W], label map [.. H W] int32 or None."""

    image: jax.Array
    label: jax.Array | None = None


class SampledOps(flax.struct.PyTreeNode):
    """What was drawn for each image and layer.

    op [B L] int32, a position in `names`; value [B L] float32, physical; random [B L 4] uniform in [0, 1), for ops with
    chance of their own. fixed [B L 6] int32 or None: the moves' 16.16 backend where the host could compute them in
    float64, as PIL does. gate [B L] or None: how much of the op's effect is taken, for derivatives in probabilities.
    score [B] or None: 0, for derivatives in the shares of sub-policies (`learned.score`).
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

    names: of the ops. cover: the colour, one number per channel or one for all, of cutouts and of what a crop uncovers;
    other moves uncover black. exact: the backend of PIL. scheduler: "map" or "fused". border: "fill", or "edge" where
    what a move uncovers repeats the nearest pixel instead (not with exact backend).
    """

    names: tuple[str, ...]
    cover: tuple[float, ...] = (0.0,)
    exact: bool = True
    scheduler: str = "map"
    border: str = "fill"

    @property
    def ops(self) -> tuple[Op, ...]:
        return tuple(find_op(name) for name in self.names)

    @property
    def backend(self) -> Backend:
        return uint8 if self.exact else float32

    def colour(self, channels: int) -> np.ndarray:
        """[C] the cover; that of an RGB policy is turned to grey for grey images."""
        if channels == 1 and len(self.cover) == 3:
            red, green, blue = (round(c) for c in self.cover)
            weighted = uint8.LUMA[0] * red + uint8.LUMA[1] * green + uint8.LUMA[2] * blue
            return np.asarray([(weighted + uint8.ONE // 2) >> 16], np.float32)
        if len(self.cover) not in (1, channels):
            raise UsageError(f"the policy's cover has {len(self.cover)} backend, the images {channels} channels")
        return np.broadcast_to(np.asarray(self.cover, np.float32), (channels,))
