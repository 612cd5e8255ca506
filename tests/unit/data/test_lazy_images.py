"""Images read when they are asked for: what is read depends on the row, the seed and the number alone."""

import numpy as np
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.data.dataset import Split, assemble
from jaxaug.data.lazy_images import LazyImages, count_unreadable


class Numbers:
    """Images full of their row's number; with a generator another number in the second channel; row 7 is broken."""

    image_shape = (2, 2, 3)

    def __init__(self):
        self.unreadable, self.seen = 0, []

    def read(self, row, random=None):
        self.seen.append(row)
        if row == 7:
            self.unreadable = 1
            return None
        image = np.full(self.image_shape, row, np.uint8)
        image[..., 1] = 0 if random is None else random.integers(1, 256)
        return image

    def digest(self, rows):
        return repr(rows.tolist())


def test_like_an_array():
    source = Numbers()
    images = LazyImages(source, np.arange(9))
    assert (images.shape, images.dtype, images.ndim, len(images)) == ((9, 2, 2, 3), np.uint8, 4, 9)
    assert not source.seen
    assert images[2].shape == (2, 2, 3)
    np.testing.assert_array_equal(images[np.array([[3, 1], [0, 7]])][..., 0, 0, 0], [[3, 1], [0, 0]])
    np.testing.assert_array_equal(images[1:3][:, 0, 0, 0], [1, 2])


def test_rows_are_taken_and_joined_unread():
    source = Numbers()
    split = Split(LazyImages(source, np.arange(9)), np.zeros(9, np.int32), np.arange(9, dtype=np.int32))
    odd, even = split.at(np.array([1, 3])), split.at(slice(0, 9, 4))
    joined = odd.image.joined(even.image)
    assert [*joined.rows] == [1, 3, 0, 4, 8]
    assert joined.at(np.array([2, 0])).digest() == "[0, 1]"
    assert not source.seen
    with pytest.raises(UsageError, match="two sources"):
        joined.joined(LazyImages(Numbers(), np.arange(2)))
    assert count_unreadable([odd.image, even.image]) == 0
    assert count_unreadable([np.zeros(3)]) is None


def test_cuts_depend_on_seed_number_and_row_alone():
    images = LazyImages(Numbers(), np.arange(20), threads=3)
    rows = np.array([[4, 5, -1], [5, 7, 2]])
    numbers = np.array([[0, 0, 0], [1, 1, 1]])
    found, readable = images.read(rows, 9, numbers)
    np.testing.assert_array_equal(readable, [[True, True, True], [True, False, True]])
    assert not found[0, 2].any()
    assert found[0, 1, 0, 0, 1] != found[1, 0, 0, 0, 1]
    alone = images.at(np.array([2, 5])).read(np.array([1, 0]), 9, np.array([1, 1]))[0]
    np.testing.assert_array_equal(alone[0], found[1, 0])
    np.testing.assert_array_equal(alone[1], found[1, 2])
    other = images.read(rows, 10, numbers)[0]
    assert (other[..., 1] != found[..., 1]).any()


def test_a_data_set_of_them():
    """Rows are cut off and left out without a look at an image."""
    source, label = Numbers(), np.arange(20) % 2
    rows = LazyImages(source, np.arange(20)), label
    data = assemble(
        "numbers", rows, rows, num_classes=2, class_names=("a", "b"), mean=(0.5,) * 3, std=(0.5,) * 3, validation_size=4
    )
    assert (len(data.train), len(data.validation), data.image_shape) == (16, 4, (2, 2, 3))
    assert not source.seen
    np.testing.assert_array_equal(data.validation.image.rows, data.validation.index)
