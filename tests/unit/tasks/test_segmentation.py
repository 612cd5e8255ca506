"""Figures of label maps against plain NumPy; parts add up; windows, scales and mirroring see the image whole."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.core.totals import totals_of
from jaxaug.core.types import Batch, ModelOutput
from jaxaug.tasks import Segmentation
from jaxaug.tasks.segmentation import UNIT, class_iou, confusion_of

TASK = Segmentation()


def output_of(logits):
    return ModelOutput(jnp.zeros((*logits.shape[:-1], 1)), jnp.asarray(logits), jnp.zeros((1, 3)), jnp.zeros(3))


def totals(logits, label):
    batch = Batch(jnp.zeros((*label.shape, 1)), jnp.asarray(label), jnp.arange(len(label)))
    return totals_of(TASK.eval_sums(output_of(logits), batch))


def test_against_numpy_in_uneven_parts():
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(5, 40, 50, 3)).astype(np.float32), rng.integers(-1, 3, (5, 40, 50))
    found = logits.argmax(-1)
    matrix = np.array([[np.sum((label == i) & (found == j)) for j in range(3)] for i in range(3)])
    assert matrix.sum() > UNIT  # both numbers of a count are used
    padded = np.concatenate([label[3:], np.full((1, 40, 50), -1)])
    parts = totals(logits[:3], label[:3]) + totals(np.concatenate([logits[3:], logits[:1]]), padded)
    np.testing.assert_array_equal(confusion_of(parts), matrix)
    right = np.diag(matrix)
    iou = right / (matrix.sum(0) + matrix.sum(1) - right)
    metrics = TASK.summarize(parts)
    assert metrics["miou"] == pytest.approx(iou.mean())
    assert metrics["pixel_accuracy"] == pytest.approx(right.sum() / matrix.sum())
    assert metrics["class_accuracy"] == pytest.approx((right / matrix.sum(1)).mean())
    assert list(TASK.diagrams(parts)["class_iou"].values()) == pytest.approx(list(iou))


def test_a_class_that_is_nowhere_counts_nowhere():
    iou = class_iou(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    np.testing.assert_allclose(iou, [3 / 4, 2 / 3, np.nan])
    empty = TASK.summarize(totals(np.zeros((1, 2, 2, 3), np.float32), np.full((1, 2, 2), -1)))
    assert (empty["miou"], empty["pixel_accuracy"]) == (0.0, 0.0)


@pytest.mark.parametrize("options", [{"flip": True}, {"window": (4, 5)}, {"window": (90, 5), "overlap": 0.0}])
def test_views_of_a_pointwise_network_are_the_image(options):
    """A network that looks at each pixel alone says the same of windows and mirrored images as of the whole."""
    image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 11, 3)), jnp.float32)
    found = Segmentation(**options).evaluated(output_of, image)
    expected = np.exp(image) / np.exp(image).sum(-1, keepdims=True)
    np.testing.assert_allclose(np.exp(found.logits), expected, rtol=1e-5)
    assert found.kernel.shape == (1, 3)


def test_scales_are_averaged():
    image = jnp.ones((1, 4, 6, 3)) * jnp.asarray([0.0, 1.0, 2.0])
    found = jax.jit(functools.partial(Segmentation(scales=(0.5, 1.0)).evaluated, output_of))(image)
    np.testing.assert_allclose(found.logits[0, 1, 2], np.log(np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()), rtol=1e-5)


def test_options():
    for options in ({"scales": ()}, {"scales": (0.0,)}, {"window": (3,)}, {"overlap": 1.0}):
        with pytest.raises(UsageError, match="segmentation: scales must be above 0"):
            Segmentation(**options)
