"""The table of contenders: which file, with which options, and what sets it apart."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, NamedTuple

NONE: Mapping[Any, Any] = types.MappingProxyType({})
SAME = "one draw of operations for the whole batch: not RandAugment"


class Contender(NamedTuple):
    """A file of this folder and the options of its `make`."""

    module: str
    options: Mapping[str, Any] = NONE
    note: str = ""
    # Whether the images of a batch get different operations, as RandAugment needs.
    per_image: bool = True
    # Batch sizes of its own, by image size.
    batches: Mapping[int, int] = NONE


# PyTorch runs with one thread where it is called for single images or small groups: its threads wait for one another
# at every operation, which costs more than it gains as soon as another process wants a core.
CONTENDERS = {
    "pil": Contender("pillow", note="torchvision's 14 operations, one thread"),
    "pil_two_threads": Contender("pillow", {"threads": 2}),
    "jaxaug": Contender("ours"),
    "jaxaug_one_core": Contender("ours", {"threads": 1}),
    "kornia_loop": Contender("kornia_module", {"threads": 1}, "its RandAugment, called image by image"),
    "kornia_loop_two_threads": Contender("kornia_module", {"threads": 2}),
    "kornia_grouped": Contender(
        "kornia_grouped", {"threads": 1}, "its functions, called for all images that drew them"
    ),
    "kornia_grouped_two_threads": Contender("kornia_grouped", {"threads": 2}),
    "kornia_batch": Contender("kornia_module", {"whole_batch": True}, SAME, per_image=False),
    "torchvision_pil": Contender("torchvision_v2", {"form": "pil", "threads": 1}),
    "torchvision_tensor": Contender("torchvision_v2", {"form": "tensor", "threads": 1}),
    "torchvision_batch": Contender("torchvision_v2", {"form": "batch"}, SAME, per_image=False),
    "timm": Contender("timm_pil", note="its 15 operations"),
    "albumentations": Contender("albumentations_oneof", note="no RandAugment: OneOf(14 operations), twice"),
    "dm_pix": Contender("dm_pix_switch", note="no RandAugment: lax.map(lax.switch) over its 10 operations"),
    "augmax": Contender("augmax_chain", note="a fixed chain of 6 operations: not RandAugment", per_image=False),
    "keras": Contender("keras_layer", note=SAME, per_image=False, batches={224: 8}),
}
# Those that run in the Python of the runner, where jaxaug is.
HOME = ("pil", "pil_two_threads", "jaxaug", "jaxaug_one_core")
