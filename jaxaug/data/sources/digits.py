"""scikit-learn's digits: 1797 handwritten digits, 8x8, 17 grey levels; needs no download."""

import numpy as np

from jaxaug.data.dataset import Dataset, assemble
from jaxaug.data.splits import stratified_split

# A quarter of the rows, rounded up; the split belongs to the data set and is the same for every config.seed.
TEST_ROWS = 450
_SPLIT_SEED = 0


def load(config) -> Dataset:
    """Loads the digits: 1347 training and 450 test rows, a stratified split by a constant seed.

    The index of a training row is its position among the 1347, which keep scikit-learn's order.

    Args:
      config: name, validation_size, seed.

    Returns:
      Images uint8 [N 8 8 1]; scikit-learn's 0..16 become round(x * 255 / 16).

    Raises:
      UsageError: validation_size is out of range.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    image = np.round(digits.images * 255 / 16).astype(np.uint8)[..., None]
    label = digits.target.astype(np.int32)
    train, test = stratified_split(label, TEST_ROWS, _SPLIT_SEED)
    return assemble(
        "digits",
        (image[train], label[train]),
        (image[test], label[test]),
        num_classes=10,
        class_names=tuple("0123456789"),
        validation_size=config.validation_size,
        seed=config.seed,
    )
