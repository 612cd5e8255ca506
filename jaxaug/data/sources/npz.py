"""Your own arrays: `path` names an .npz with train_image, train_label and the same for test or validation."""

import pathlib
import zipfile

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset, assemble

SPLITS = ("train", "validation", "test")
CLEAN = "train_clean_label"


@register("data")
def npz(*, path: str = "", num_classes: int = 0, validation_size: float = 0.0, seed: int = 0) -> Dataset:
    """Loads arrays written by `numpy.savez(path, train_image=..., train_label=..., test_image=..., ...)`.

    Images are [N H W C], or [N H W] for one channel, uint8 or float32 on the scale 0..255; labels are
    integers 0..K-1. Mean and std are computed from the training rows.

    validation_image and validation_label may hold rows whose labels are trusted; validation_size then stays 0, and
    their index goes on where the training rows end. test_image and test_label may be left out where there are
    validation rows: since a run must report something, the test split then is the validation split.
    train_clean_label may hold the true labels of the training rows, for figures about them alone.

    Args:
      path: the .npz.
      num_classes: K; 0 for the largest label + 1.
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.

    Raises:
      UsageError: the file or an array is missing, holds pickled objects, or is not as described.
    """
    if not path:
        raise UsageError("npz: set path to an .npz with train_image, train_label, test_image, test_label")
    arrays = _read(pathlib.Path(path).expanduser())
    rows = {}
    for split in SPLITS:
        if f"{split}_image" in arrays:
            rows[split] = (_with_channel(arrays[f"{split}_image"], split, path), arrays[f"{split}_label"])
    num_classes = num_classes or _count_classes(arrays, path)
    return assemble(
        "npz",
        rows["train"],
        rows.get("test"),
        num_classes=num_classes,
        class_names=tuple(map(str, range(num_classes))),
        validation_size=validation_size,
        seed=seed,
        validation=rows.get("validation"),
        clean_label=arrays.get(CLEAN),
    )


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UsageError(f"npz: there is no file {path.absolute()} (path)")
    pairs = [(f"{split}_image", f"{split}_label") for split in SPLITS]
    try:
        with np.load(path, allow_pickle=False) as content:
            # Validation and test may be left out, but not by half.
            needed = [key for pair in pairs if pair == pairs[0] or set(pair) & set(content.files) for key in pair]
            missing = [key for key in needed if key not in content]
            if missing:
                raise UsageError(f"npz: {path} has {', '.join(content.files)} but not {', '.join(missing)}")
            return {key: content[key] for key in (*needed, CLEAN) if key in content}
    # A plain .npy gives an array, which is no context manager: TypeError or AttributeError.
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageError(f"npz: {path} cannot be read: {error}") from error


def _count_classes(arrays: dict[str, np.ndarray], path: str) -> int:
    labels = [array for key, array in arrays.items() if key.endswith("_label")]
    # Other dtypes are left to assemble, whose message says what is wrong.
    largest = max(int(label.max(initial=0)) if label.dtype.kind in "iu" else 0 for label in labels)
    if largest >= max(sum(label.size for label in labels), 1000):
        raise UsageError(f"npz: {path} has a label {largest}; if that is right, set num_classes")
    return largest + 1


def _with_channel(image: np.ndarray, split: str, path: str) -> np.ndarray:
    image = image[..., None] if image.ndim == 3 else image
    if image.dtype == np.float32 and image.size:
        low, high = image.min(), image.max()
        # NaN fails both comparisons and is left to Dataset, which names the row.
        if low < 0 or (255 < high < np.inf) or high <= 1:
            raise UsageError(
                f"npz: {split}_image of {path} lies in {low:g}..{high:g}; floats must be on the scale 0..255"
            )
    return image
