"""The regression on patches: each row really left out, mirror images alike, wrong digits found."""

import numpy as np
import pytest

from jaxaug import data, label_errors
from jaxaug.label_errors import patches


@pytest.mark.parametrize("width", [4, 40])
def test_each_row_is_left_out(width):
    """The closed form is what a regression without the row says of it."""
    random = np.random.default_rng(0)
    labels = np.arange(30) % 3
    features = patches.standardized(random.normal(size=(30, width)).astype(np.float32) + labels[:, None])
    found = patches.left_out_probabilities(labels, features, 3)
    rows = np.column_stack([features, np.ones(30)])
    # The mean is a column without a penalty, as rows have the mean 0.
    penalty = np.diag([patches.RIDGE * 30] * width + [0.0])
    logits = np.zeros((30, 3))
    for row in range(30):
        others = np.arange(30) != row
        gram = rows[others].T @ rows[others] + penalty
        logits[row] = rows[row] @ np.linalg.solve(gram, rows[others].T @ np.eye(3)[labels[others]])
    # Probabilities are the softmax at some temperature: differences of their logs are those of the logits.
    apart = np.log(found) - np.log(found[:, :1])
    want = logits - logits[:, :1]
    temperature = (want * want).sum() / (apart * want).sum()
    np.testing.assert_allclose(apart * temperature, want, atol=2e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("shape", [(12, 12, 1), (9, 14, 3), (27, 27, 3), (3, 3, 1), (1, 4, 1)])
def test_mirror_images_are_alike(shape):
    image = np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)
    image[2:] = image[:2, :, ::-1]
    found = patches.patch_features(image, count=8)
    assert found.shape == (4, 32)
    np.testing.assert_allclose(found[:2], found[2:], rtol=1e-3, atol=2e-3)


def test_wrong_digits_are_found():
    rows = data.load("digits", noise=0.1)
    features = patches.standardized(patches.patch_features(rows.train.image, 100))
    said = patches.left_out_probabilities(rows.train.label, features, 10)
    issues, wrong = label_errors.find(rows.train.label, said, score="margin"), rows.train.label != rows.clean_label
    found = label_errors.precision(issues.ranking, wrong, 100)
    assert found["precision"] >= 0.98
    assert found["recall"] >= 0.93
    assert issues.errors == pytest.approx(wrong.sum(), rel=0.1)
    assert np.mean(issues.suggested[wrong] == rows.clean_label[wrong]) > 0.9
