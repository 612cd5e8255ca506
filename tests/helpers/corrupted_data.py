"""What the tests of corrupted training rows share: digits with validation rows, and sets of labels alone."""

import numpy as np

from helpers.published_data import small
from jaxaug.data.sources.digits import digits


def load_digits(**changes):
    return digits(**{"validation_size": 300, **changes})


def blank(label, num_classes, validation_size=0):
    """A set with these labels and one black pixel for an image."""
    image, names = np.zeros((len(label), 1, 1, 1), np.uint8), tuple(map(str, range(num_classes)))
    test = (image[:1], label[:1])
    return small(
        (image, label), test, num_classes=num_classes, class_names=names, validation_size=validation_size, seed=0
    )
