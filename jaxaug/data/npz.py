"""Your own arrays: `config.path` names an .npz with train_image, train_label, test_image and test_label."""

import pathlib
import zipfile

import numpy as np

from jaxaug.data import Data, assemble
from jaxaug.errors import UsageError

KEYS = ("train_image", "train_label", "test_image", "test_label")


def load(config) -> Data:
    """Loads arrays written by `numpy.savez(path, train_image=..., train_label=..., test_image=..., ...)`.

    Images are [N H W C], or [N H W] for one channel, uint8 or float32 on the scale 0..255; labels are
    integers 0..K-1. Mean and std are computed from the training rows.

    Args:
      config: name, path, validation_size, seed; num_classes, 0 by default for the largest label + 1.

    Raises:
      UsageError: the file or an array is missing, holds pickled objects, or is not as described.
    """
    path = config.get("path", "")
    if not path:
        raise UsageError("npz: set config.data.path to an .npz with " + ", ".join(KEYS))
    arrays = _read(pathlib.Path(path).expanduser())
    for split in ("train", "test"):
        arrays[f"{split}_image"] = _with_channel(arrays[f"{split}_image"], split, path)
    num_classes = config.get("num_classes", 0) or _count_classes(arrays, path)
    return assemble(
        str(config.name),
        (arrays["train_image"], arrays["train_label"]),
        (arrays["test_image"], arrays["test_label"]),
        num_classes=num_classes,
        class_names=tuple(map(str, range(num_classes))),
        validation_size=config.validation_size,
        seed=config.seed,
    )


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UsageError(f"npz: there is no file {path.absolute()} (config.data.path)")
    try:
        with np.load(path, allow_pickle=False) as content:
            missing = [key for key in KEYS if key not in content]
            if missing:
                raise UsageError(f"npz: {path} has {', '.join(content.files)} but not {', '.join(missing)}")
            return {key: content[key] for key in KEYS}
    # A plain .npy gives an array, which is no context manager: TypeError or AttributeError.
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageError(f"npz: {path} cannot be read: {error}") from error


def _count_classes(arrays: dict[str, np.ndarray], path: str) -> int:
    labels = [arrays[f"{split}_label"] for split in ("train", "test")]
    # Other dtypes are left to assemble, whose message says what is wrong.
    largest = max(int(label.max(initial=0)) if label.dtype.kind in "iu" else 0 for label in labels)
    if largest >= max(sum(label.size for label in labels), 1000):
        raise UsageError(f"npz: {path} has a label {largest}; if that is right, set config.data.num_classes")
    return largest + 1


def _with_channel(image: np.ndarray, split: str, path: str) -> np.ndarray:
    image = image[..., None] if image.ndim == 3 else image
    if image.dtype == np.float32 and image.size:
        low, high = image.min(), image.max()
        # NaN fails both comparisons and is left to Data, which names the row.
        if low < 0 or (255 < high < np.inf) or high <= 1:
            raise UsageError(
                f"npz: {split}_image of {path} lies in {low:g}..{high:g}; floats must be on the scale 0..255"
            )
    return image
