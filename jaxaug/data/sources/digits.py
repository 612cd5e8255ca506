"""scikit-learn's digits: 1797 handwritten digits, 8x8, 17 gray levels; needs no download."""

import numpy as np

from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset, assemble
from jaxaug.data.splits import stratified_split

# A quarter of the rows, rounded up; the split belongs to the data set and is the same for every seed.
TEST_ROWS = 450
_SPLIT_SEED = 0


@register("data")
def digits(*, validation_size: float = 0.0, seed: int = 0) -> Dataset:
    """Loads the digits: 1347 training and 450 test rows, a stratified split by a constant seed.

    The index of a training row is its position among the 1347, which keep scikit-learn's order.

    Args:
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.

    Returns:
      Images uint8 [N 8 8 1]; scikit-learn's 0..16 become round(x * 255 / 16).

    Raises:
      UsageError: validation_size is out of range.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    image = np.round(raw.images * 255 / 16).astype(np.uint8)[..., None]
    label = raw.target.astype(np.int32)
    train, test = stratified_split(label, TEST_ROWS, _SPLIT_SEED)
    return assemble(
        "digits",
        (image[train], label[train]),
        (image[test], label[test]),
        num_classes=10,
        class_names=tuple("0123456789"),
        validation_size=validation_size,
        seed=seed,
    )
