"""What a config costs on devices that are not here: its steps compiled for them, and what the compiler says.

`plan(config, "v5e:8x8")` gives memory, FLOPs, bytes, collectives and the least time of each step. All of it is imported
when it is asked for.
"""

from typing import TYPE_CHECKING

from jaxaug.core.lazy import lazy_names

if TYPE_CHECKING:
    from jaxaug.planning.chips import CHIPS, Chip
    from jaxaug.planning.compiled import Cost, cost_of
    from jaxaug.planning.plan import Plan, plan
    from jaxaug.planning.topology import devices_of

_LAZY = {
    "CHIPS": "chips",
    "Chip": "chips",
    "Cost": "compiled",
    "Plan": "plan",
    "cost_of": "compiled",
    "devices_of": "topology",
    "plan": "plan",
}

__all__ = ["CHIPS", "Chip", "Cost", "Plan", "cost_of", "devices_of", "plan"]

__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> list[str]:
    return __all__
