"""What a data set must hold, and its channel statistics."""

import dataclasses

import numpy as np
import pytest
from helpers import dataset_copies as copies
from helpers.published_data import small

from jaxaug.core.errors import UsageError
from jaxaug.data import statistics
from jaxaug.data.dataset import Split
from jaxaug.data.splits import subset_rows


def float_rows(count, bad_row, value):
    image, label = copies.rows(count, (4, 4, 1), 3)
    image = image.astype(np.float32)
    image[bad_row, 1, 1] = value
    return image, label


def test_validation_errors():
    image, label = copies.rows(12, (4, 4, 1), 3)
    wrong = label.copy()
    wrong[[5, 7]] = 3
    cases = {
        "no training rows": {"train": (image[:0], label[:0])},
        "row 5 of train has label 3; with 3 classes it must be 0..2": {"train": (image, wrong)},
        "row 5 of test has label 3": {"test": (image, wrong)},
        "images of test are .4, 4, 2.": {"test": (np.repeat(image, 2, 3), label)},
        "it must be .N H W C.": {"train": (image[..., 0], label)},
        "images of train are int64": {"train": (image.astype(np.int64), label)},
        "row 8 of train has NaN or infinity": {"train": float_rows(12, 8, np.nan)},
        "row 3 of test has NaN or infinity": {"test": float_rows(12, 3, -np.inf)},
        "images of train lie in 0..256": {"train": float_rows(12, 3, 256.0)},
        "images of test lie in -1..": {"test": float_rows(12, 3, -1.0)},
        "images of test lie in 0.25..0.25; .* multiply those within 0..1 by 255": {
            "test": (np.full((12, 4, 4, 1), 0.25, np.float32), label)
        },
        "mean and std go together": {"mean": (0.5,)},
        "mean must have one number per channel, of pixels scaled to 0..1": {"mean": (125.0,), "std": (0.5,)},
        "std, which must be above 0": {"mean": (0.5,), "std": (0.0,)},
        "mean has 3 values": {"mean": (0.5,) * 3, "std": (0.5,) * 3},
        "3 class names for 2 classes": {
            "train": (image, label % 2),
            "test": (image, label % 2),
            "num_classes": 2,
        },
        "labels of train are float": {"train": (image, label / 2)},
        "12 images need as many": {"train": (image, label[:-1])},
    }
    for message, options in cases.items():
        with pytest.raises(UsageError, match=message):
            small(**options)


def test_split_fields_are_checked():
    data = small()
    split = data.train
    for wrong, message in (
        (Split(split.image, split.label.astype(np.int64), split.index), "label of train is int64"),
        (Split(split.image, split.label, split.index[:-1]), "index of train has shape"),
        (Split(split.image, split.label, split.index // 2), "2 training rows have the index 0; each needs one"),
        (Split(split.image, split.label, split.index - 1), "the index -1 of a training row must be 0 or more"),
    ):
        with pytest.raises(UsageError, match=message):
            dataclasses.replace(data, train=wrong)


def test_what_is_known_of_rows_is_checked():
    data = small()
    clean = data.train.label
    for changes, message in (
        ({"clean_label": clean.astype(np.int64)}, "the clean labels are int64"),
        ({"clean_label": clean[:-1]}, r"of shape .11,.; 12 training rows need int32 .12."),
        ({"clean_label": clean + 1}, "of the clean labels of train has label 3"),
        ({"files": ("a.png",) * 11}, "11 files for training rows with an index up to 11"),
    ):
        with pytest.raises(UsageError, match=message):
            dataclasses.replace(data, **changes)


def test_what_is_known_of_a_row_goes_with_it():
    image, label = copies.rows(60, (4, 4, 1), 3)
    files = tuple(f"{row}.png" for row in range(60))
    data = small((image, label), validation_size=15, clean_label=(label + 1) % 3, files=files)
    for some in (data, subset_rows(data, 20, 0), data.keep(np.array([7, 3]))):
        np.testing.assert_array_equal(some.clean_label, (some.train.label + 1) % 3)
        np.testing.assert_array_equal(some.train.image, image[some.train.index])
        assert some.files is files
    with pytest.raises(UsageError, match="60 images need as many"):
        small((image, label), clean_label=label[:-1])


def test_statistics_in_chunks(monkeypatch):
    image, _ = copies.rows(50, (4, 5, 2), 3)
    monkeypatch.setattr(statistics, "CHUNK_ROWS", 7)
    for pixels in (image, image.astype(np.float32)):
        mean, std = statistics.channel_statistics(pixels)
        np.testing.assert_allclose(mean, (image / 255).mean((0, 1, 2)))
        np.testing.assert_allclose(std, (image / 255).std((0, 1, 2)))
    assert statistics.channel_statistics(np.full((3, 2, 2, 1), 9, np.uint8))[1] == (1 / 255,)
