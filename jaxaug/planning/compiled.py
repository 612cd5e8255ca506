"""A jitted function compiled for devices that are not here, and what its compiler says of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from jaxaug.planning.chips import Chip
from jaxaug.planning.collectives import Collectives, collectives_of

# Of the compilers: "Used 41.00G of 15.75G hbm", "memory required for HLO temporaries (41.38G) exceeds available HBM".
_NEEDED = re.compile(r"[Uu]sed ([\d.]+)([KMGT]?) of [\d.]+|\(([\d.]+)([KMGT]?)\) exceeds available")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one call costs each device.

    Attributes:
      memory: bytes at the peak, arguments and results included.
      arguments: bytes of these: state, and data that lie on the device.
      flops: floating-point operations; None where the compiler does not say. What is in a loop is counted once.
      bytes_accessed: bytes read from and written to memory; None likewise.
      collectives: by kind.
      fits: whether the compiler found room.
    """

    memory: float
    arguments: float = 0.0
    flops: float | None = None
    bytes_accessed: float | None = None
    collectives: Mapping[str, Collectives] = dataclasses.field(default_factory=dict)
    fits: bool = True

    def seconds(self, chip: Chip) -> dict[str, float]:
        """The least time of products, memory and links by the chip's published numbers; {} if nobody counted them."""
        if self.flops is None or self.bytes_accessed is None:
            return {}
        sent = sum(one.sent for one in self.collectives.values())
        return {
            "products": self.flops / chip.flops,
            "memory": self.bytes_accessed / chip.bandwidth,
            "links": sent / chip.link,
        }


def cost_of(jitted: Any, *arguments: Any, platform: str, devices: int) -> Cost:
    """What a jitted function costs each device.

    Args:
      jitted: of `jax.jit`.
      arguments: `jax.ShapeDtypeStruct`s with shardings over a mesh of the devices; other values as they are.
      platform: "tpu", "cuda" or "cpu".
      devices: of the mesh.
    """
    lowered = jitted.trace(*arguments).lower(lowering_platforms=(platform,))
    try:
        compiled = lowered.compile()
    except Exception as error:  # jaxlib's own type
        found = _NEEDED.search(str(error))
        if found is None:
            raise
        number, unit = found[1] or found[3], found[2] or found[4]
        return Cost(float(number) * _UNITS[unit or ""], fits=False)
    memory, said = compiled.memory_analysis(), compiled.cost_analysis()
    said = said[0] if isinstance(said, list) else said
    said = said or {}
    return Cost(
        memory=_peak(memory),
        arguments=memory.argument_size_in_bytes,
        flops=said.get("flops"),
        bytes_accessed=said.get("bytes accessed"),
        collectives=collectives_of(compiled.as_text(), devices),
    )


def _peak(memory: Any) -> float:
    """The compiler's peak, or where it knows none, all that it set aside at once."""
    whole = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return getattr(memory, "peak_memory_in_bytes", 0) or whole + memory.temp_size_in_bytes
