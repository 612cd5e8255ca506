"""Test-time protocols: what is done to test images, at which levels, and the metric that sums them up.

`create(("occlusion", {"name": "translation", "reaches": (0.0, 0.25)}), data)` gives {name: Protocol}. A protocol of
one's own is a function `(data, **options) -> Protocol` under `register("robustness")`. Exact definitions of those here:
docs/robustness.md.
"""

from collections.abc import Sequence

from jaxaug.robustness.base import Level, Perturb, Protocol, create
from jaxaug.robustness.corruptions import corruptions
from jaxaug.robustness.imagenet_variants import imagenet_c, imagenet_v2
from jaxaug.robustness.occlusion import occlusion
from jaxaug.robustness.translation import translation

__all__ = [
    "Level",
    "Perturb",
    "Protocol",
    "corruptions",
    "create",
    "imagenet_c",
    "imagenet_v2",
    "occlusion",
    "translation",
]


def __dir__() -> Sequence[str]:
    return __all__
