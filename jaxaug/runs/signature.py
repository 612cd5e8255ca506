"""What a trained network takes and says: kept beside its weights, so that they can be used where the data are not."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Signature:
    """What must be known of a run's data to give its network other images.

    Attributes:
      data: the name of the data set.
      image_shape: (H, W, C) of its images, uint8 or float on the 0..255 scale.
      mean, std: per channel, on the 0..1 scale.
      class_names: of each class, K names.
      cut: how its evaluation makes a photograph of any size an image: the fields of `data.photographs.Cut`, and
        "upright"; None for sets that are cut square in the middle and resized, or that are no photographs.
    """

    data: str
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    cut: Mapping[str, Any] | None = None

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)


def save_signature(file: pathlib.Path, signature: Signature) -> None:
    """Write it as JSON."""
    write_text(file, json.dumps(dataclasses.asdict(signature), indent=1))


def read_signature(file: pathlib.Path) -> Signature | None:
    """What `save_signature` wrote; None where there is no such file.

    Raises:
      UsageError: it is damaged.
    """
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text())
        values = {name: tuple(found[name]) for name in ("image_shape", "mean", "std", "class_names")}
        if len(values["image_shape"]) != 3 or len(values["mean"]) != values["image_shape"][2]:
            raise ValueError("its shapes do not fit each other")
        return Signature(data=str(found["data"]), **values, cut=found.get("cut"))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{file} is damaged: {error!r}. Put back a copy, or remove it to read the data instead."
        ) from None
