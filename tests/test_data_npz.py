"""A user's own arrays in one .npz file."""

import copies
import numpy as np
import pytest
from prepared import assert_rows, load, no_outside  # noqa: F401

from jaxaug.errors import UsageError


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
    grey = {key: arrays_for_npz()[key][..., 0].astype(np.float32) for key in ("train_image", "test_image")}
    data = load_npz(tmp_path, **grey)
    assert data.image_shape == (6, 5, 1)
    assert data.train.image.dtype == np.float32


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
        ({"train_image": np.full((20, 6, 5, 3), 0.5, np.float32)}, "lies in 0.5..0.5"),
        ({"train_image": np.full((20, 6, 5, 3), 256, np.float32)}, "lies in 256..256"),
        ({"train_image": np.zeros((20, 6, 5, 1), np.uint8)}, "images of test are"),
        ({"train_image": np.zeros((20, 90), np.uint8)}, "must be"),
        ({"train_image": np.zeros((19, 6, 5, 3), np.uint8)}, "19 images need as many"),
    ],
)
def test_npz_errors(changes, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        load_npz(tmp_path, **changes)


def test_npz_file_errors(tmp_path):
    with pytest.raises(UsageError, match=r"set config\.data\.path"):
        load("npz")
    with pytest.raises(UsageError, match="there is no file"):
        load("npz", path=str(tmp_path / "none.npz"))
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("text")
    for name in ("one.npy", "text.npz"):
        with pytest.raises(UsageError, match="cannot be read"):
            load("npz", path=str(tmp_path / name))
