"""Your own arrays: `path` names an .npz with train_image, train_label and the same for test or validation."""

import pathlib

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.numpy_files import open_npz
from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset, assemble
from jaxaug.data.splits import SPLIT_WORDS

CLEAN = "train_clean_label"
UNLABELLED = "unlabelled_image"


@register("data")
def npz(
    *, path: str = "", num_classes: int = 0, void: int = -1, validation_size: float = 0.0, seed: int = 0
) -> Dataset:
    """Loads arrays written by `numpy.savez(path, train_image=..., train_label=..., test_image=..., ...)`.

    Images are [N H W C], or [N H W] for one channel, uint8 or float32 on the scale 0..255; labels are
    integers 0..K-1, or label maps [N H W] of them, for the task "segmentation". Mean and std are computed from the
    training rows.

    validation_image and validation_label may hold rows whose labels are trusted; validation_size then stays 0, and
    their index goes on where the training rows end. test_image and test_label may be left out where there are
    validation rows: since a run must report something, the test split then is the validation split.
    unlabelled_image may hold training rows without a label, which follow the others; a train_label of -1 says the same.
    train_clean_label may hold the true labels of the training rows, for figures about them alone.

    Args:
      path: the .npz.
      num_classes: K; 0 for the largest label + 1.
      void: the number of pixels without a class in label maps.
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.

    Raises:
      UsageError: the file or an array is missing, holds pickled objects, or is not as described.
    """
    if not path:
        raise UsageError("npz: set path to an .npz with train_image, train_label, test_image, test_label")
    arrays = {key: _without_void(key, array, void) for key, array in _read(pathlib.Path(path).expanduser()).items()}
    rows = {}
    for split in SPLIT_WORDS:
        if f"{split}_image" in arrays:
            rows[split] = (_with_channel(arrays[f"{split}_image"]), arrays[f"{split}_label"])
    if UNLABELLED in arrays:
        if CLEAN in arrays and len(arrays[CLEAN]) == len(arrays["train_label"]):  # nothing is known of the others
            arrays[CLEAN] = np.pad(_signed(arrays[CLEAN]), (0, len(arrays[UNLABELLED])), constant_values=-1)
        rows["train"] = _with_unlabelled(*rows["train"], _with_channel(arrays[UNLABELLED]), path)
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
    pairs = [(f"{split}_image", f"{split}_label") for split in SPLIT_WORDS]
    try:
        with open_npz(path) as content:
            # Validation and test may be left out, but not by half.
            needed = [key for pair in pairs if pair == pairs[0] or set(pair) & set(content.files) for key in pair]
            missing = [key for key in needed if key not in content]
            if missing:
                raise UsageError(f"{path} has {', '.join(content.files)} but not {', '.join(missing)}")
            return {key: content[key] for key in (*needed, CLEAN, UNLABELLED) if key in content}
    except UsageError as error:
        raise UsageError(f"npz: {error}") from error


def _with_unlabelled(
    image: np.ndarray, label: np.ndarray, more: np.ndarray, path: str
) -> tuple[np.ndarray, np.ndarray]:
    if more.shape[1:] != image.shape[1:] or more.dtype != image.dtype or label.ndim != 1:
        raise UsageError(
            f"npz: {UNLABELLED} of {path} is {more.dtype} {more.shape}; with train_image {image.dtype} "
            f"{image.shape} and one label for each image it must be alike"
        )
    label = _signed(label)
    return np.concatenate([image, more]), np.concatenate([label, np.full(len(more), -1, label.dtype)])


def _signed(label: np.ndarray) -> np.ndarray:
    """Labels in a type that has -1 if they are integers; of others it is told later what is wrong."""
    return label.astype(np.int64) if np.issubdtype(label.dtype, np.integer) else label


def _without_void(key: str, array: np.ndarray, void: int) -> np.ndarray:
    """Label maps with -1 for void; other arrays as they are."""
    if not key.endswith("_label") or array.ndim != 3 or void == -1 or not np.issubdtype(array.dtype, np.integer):
        return array
    return np.where(array == void, -1, array.astype(np.int32))


def _count_classes(arrays: dict[str, np.ndarray], path: str) -> int:
    labels = [array for key, array in arrays.items() if key.endswith("_label")]
    # Other dtypes are left to assemble, whose message says what is wrong.
    largest = max(int(label.max(initial=0)) if label.dtype.kind in "iu" else 0 for label in labels)
    if largest >= max(sum(label.size for label in labels), 1000):
        raise UsageError(f"npz: {path} has a label {largest}; if that is right, set num_classes")
    return largest + 1


def _with_channel(image: np.ndarray) -> np.ndarray:
    return image[..., None] if image.ndim == 3 else image
