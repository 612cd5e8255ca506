"""A user's own arrays in one .npz file."""

import numpy as np
import pytest
from helpers import dataset_copies as copies
from helpers.published_data import assert_rows, load, no_outside  # noqa: F401

from jaxaug.core.errors import UsageError


def arrays_for_npz(**changes):
    train, test = copies.rows(20, (6, 5, 3), 4), copies.rows(8, (6, 5, 3), 4)
    arrays = {"train_image": train[0], "train_label": train[1], "test_image": test[0], "test_label": test[1]}
    return {key: value for key, value in (arrays | changes).items() if value is not None}


def load_npz(tmp_path, options=None, **changes):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays_for_npz(**changes))
    return load("npz", path=str(path), **(options or {}))


def test_npz(tmp_path):
    data = load_npz(tmp_path)
    assert_rows(data, *(list(arrays_for_npz().values())[i : i + 2] for i in (0, 2)))
    assert (data.num_classes, data.class_names) == (4, ("0", "1", "2", "3"))
    assert load_npz(tmp_path, {"num_classes": 7}).num_classes == 7
    gray = {key: arrays_for_npz()[key][..., 0].astype(np.float32) for key in ("train_image", "test_image")}
    data = load_npz(tmp_path, **gray)
    assert data.image_shape == (6, 5, 1)
    assert data.train.image.dtype == np.float32


def test_trusted_rows(tmp_path):
    """Validation rows of the file's own, numbered on from the training rows; without test rows they are the test."""
    image, label = copies.rows(7, (6, 5, 3), 4, 5)
    trusted = {"validation_image": image, "validation_label": label}
    data = load_npz(tmp_path, **trusted)
    np.testing.assert_array_equal(data.validation.image, image)
    np.testing.assert_array_equal(data.validation.label, label)
    np.testing.assert_array_equal(data.validation.index, np.arange(20, 27))
    assert (len(data.train), len(data.test), data.clean_label) == (20, 8, None)
    assert data.statistics_source == "computed from the 20 training rows"
    none = {"test_image": None, "test_label": None}
    alone = load_npz(tmp_path, **trusted, **none)
    assert alone.test is alone.validation
    cut = load_npz(tmp_path, {"validation_size": 5}, **none)
    assert cut.test is cut.validation
    assert (len(cut.train), len(cut.test)) == (15, 5)
    for options, changes, message in (
        ({"validation_size": 5}, trusted, "npz has validation rows of its own: set validation_size to 0"),
        ({}, none, "neither test nor validation rows"),
        ({}, trusted | {"validation_label": None}, "but not validation_label"),
        ({}, trusted | {"validation_label": label[1:]}, "7 images need as many"),
        ({}, trusted | {"validation_image": image.astype(np.float32) / 300}, "images of validation lie in 0"),
        ({}, trusted | {"validation_image": image[:, :5]}, "images of validation are"),
    ):
        with pytest.raises(UsageError, match=message):
            load_npz(tmp_path, options, **changes)


def test_clean_labels(tmp_path):
    clean = np.arange(20) % 6
    data = load_npz(tmp_path, {"validation_size": 5}, train_clean_label=clean)
    np.testing.assert_array_equal(data.clean_label, clean[data.train.index])
    assert (data.num_classes, data.clean_label.dtype) == (6, np.int32)
    for wrong, message in ((clean[1:], "20 images need"), (clean / 2, "clean. are float"), (clean - 1, "label -1")):
        with pytest.raises(UsageError, match=message):
            load_npz(tmp_path, train_clean_label=wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_label": None}, "but not test_label"),
        ({"train_label": np.array([None] * 20)}, "cannot be read"),
        ({"train_label": np.zeros(20)}, "labels of train are float64"),
        ({"train_label": np.array(["a"] * 20)}, "labels of train are <U1"),
        ({"train_label": np.full(20, 10**9)}, "has a label 1000000000"),
        ({"test_label": np.full(8, -1)}, "row 0 of test has label -1"),
        ({"train_label": np.full(20, 2**32 - 3)}, "has a label 4294967293"),
        ({"train_image": np.zeros((20, 6, 5, 3))}, "images of train are float64"),
        ({"train_image": np.full((20, 6, 5, 3), 0.5, np.float32)}, "lie in 0.5..0.5"),
        ({"train_image": np.full((20, 6, 5, 3), 256, np.float32)}, "lie in 256..256"),
        ({"train_image": np.zeros((20, 6, 5, 1), np.uint8)}, "images of test are"),
        ({"train_image": np.zeros((20, 90), np.uint8)}, "must be"),
        ({"train_image": np.zeros((20, 3, 6, 5), np.uint8)}, r"train: images must have channels last.*transpose"),
        ({"train_image": np.zeros((19, 6, 5, 3), np.uint8)}, "19 images need as many"),
    ],
)
def test_npz_errors(changes, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        load_npz(tmp_path, **changes)


def test_npz_file_errors(tmp_path):
    with pytest.raises(UsageError, match=r"npz: set path"):
        load("npz")
    with pytest.raises(UsageError, match="there is no file"):
        load("npz", path=str(tmp_path / "none.npz"))
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("text")
    for name in ("one.npy", "text.npz"):
        with pytest.raises(UsageError, match="cannot be read"):
            load("npz", path=str(tmp_path / name))
