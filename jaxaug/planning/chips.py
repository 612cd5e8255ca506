"""What the makers publish of their chips: the only numbers that a predicted time rests on."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Chip:
    """A chip as its maker describes it.

    Attributes:
      name: the maker's.
      flops: per second, of dense products in bfloat16.
      memory: bytes.
      bandwidth: of the memory, bytes per second.
      link: bytes per second that the chip sends to others of its slice or node, and receives at once.
      per_host: chips of one host.
      source: where the numbers stand.
    """

    name: str
    flops: float
    memory: float
    bandwidth: float
    link: float
    per_host: int
    source: str


_TPU = "cloud.google.com/tpu/docs"
# Links of TPUs: half of the bidirectional bandwidth per chip, which for v5e and v6e is the all-reduce bandwidth of the
# pod divided by its 256 chips. Links of GPUs: half of NVLink's total.
CHIPS = {
    "v5e": Chip("TPU v5e", 197e12, 16e9, 819e9, 200e9, 8, f"{_TPU}/v5e"),
    "v5p": Chip("TPU v5p", 459e12, 95e9, 2765e9, 600e9, 4, f"{_TPU}/v5p"),
    "v6e": Chip("TPU v6e", 918e12, 32e9, 1638e9, 400e9, 8, f"{_TPU}/v6e"),
    "a100": Chip("A100 SXM 80 GB", 312e12, 80e9, 2039e9, 300e9, 8, "NVIDIA A100 data sheet"),
    "h100": Chip("H100 SXM", 989e12, 80e9, 3350e9, 450e9, 8, "NVIDIA H100 data sheet"),
}
