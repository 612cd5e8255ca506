"""Every metric of a task in every precision and at the edges of its sizes, against float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import double_precision

from jaxaug.core.totals import totals_of
from jaxaug.core.types import Batch, ModelOutput
from jaxaug.tasks import Classification, Segmentation

SIZES = {  # shape of the labels, classes
    "one row": ((1,), 5),
    "one class": ((6,), 1),
    "two classes": ((700,), 2),
    "10,000 classes": ((9,), 10_000),
    "one map": ((1, 3, 5), 4),
    "maps of one class": ((2, 4, 4), 1),
    "maps of two classes": ((2, 45, 33), 2),
    "maps of 1,000 classes": ((1, 6, 7), 1000),
}
DTYPES = ("float32", "bfloat16", *(pytest.param(one, marks=pytest.mark.slow) for one in ("float16", "float64")))


def arrays(size, dtype):
    """Logits that are exact in the dtype, as float64; labels, some of none."""
    shape, classes = SIZES[size]
    rng = np.random.default_rng(len(size))
    label = rng.integers(0, classes, shape)
    logits = rng.normal(size=(*shape, classes)) + 2.0 * (np.arange(classes) == label[..., None])
    if label.size > 2:
        label.flat[1] = -1
    return logits.astype(jnp.dtype(dtype)).astype(np.float64), label


def softmax(logits):
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def of_classes(logits, label):
    """Top-1, top-5, negative log-likelihood and calibration error in 10 bins of the rows with a label."""
    share = softmax(logits)[label >= 0]
    label = label[label >= 0]
    own = np.take_along_axis(share, label[:, None], 1)
    right, confidence = share.argmax(1) == label, share.max(1)
    bins = np.ceil(confidence * 10 - 1e-9).astype(int)
    gaps = [abs(np.sum((right - confidence)[bins == b])) for b in range(1, 11)]
    top5 = np.mean(np.sum(share > own, axis=1) < 5)
    return {"top1": right.mean(), "top5": top5, "nll": -np.log(own).mean(), "ece": np.sum(gaps) / len(label)}


def of_maps(logits, label):
    """mIoU, pixel and class accuracy."""
    said, known = logits.argmax(-1), label >= 0
    said, label = said[known], label[known]
    present = [k for k in range(logits.shape[-1]) if (said == k).any() or (label == k).any()]
    iou = [np.sum((said == k) & (label == k)) / np.sum((said == k) | (label == k)) for k in present]
    per_class = [np.mean(said[label == k] == k) for k in np.unique(label)]
    return {"miou": np.mean(iou), "pixel_accuracy": np.mean(said == label), "class_accuracy": np.mean(per_class)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_values(size, dtype):
    """What is said of half precision is as exact as the numbers it holds: sums are float32 or better."""
    logits, label = arrays(size, dtype)
    maps = label.ndim > 1
    task, oracle = (Segmentation(), of_maps) if maps else (Classification(), of_classes)

    def figures():
        output = ModelOutput(jnp.zeros((*label.shape, 1)), jnp.asarray(logits, dtype), jnp.zeros((1, 1)), jnp.zeros(1))
        batch = Batch(jnp.zeros((*label.shape[:1], 1, 1, 1)), jnp.asarray(label, jnp.int32), jnp.arange(len(label)))
        return task.summarize(totals_of(jax.jit(task.eval_sums)(output, batch)))

    if dtype == "float64":
        with double_precision():
            found = figures()
    else:
        found = figures()
    expected = oracle(logits, label)
    assert set(expected) <= set(found)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-5, abs=2e-6), name
