"""Losses that need maps, in every precision and at the edges of their sizes, against float64 NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import double_precision

from jaxaug import losses
from jaxaug.core.types import Batch, ModelOutput, Progress
from jaxaug.tasks import Segmentation

SIZES = {  # maps [B h w], image [H W], classes, features
    "one pixel": ((1, 1, 1), (1, 1), 3, 4),
    "one image": ((1, 2, 3), (5, 7), 5, 4),
    "one class": ((2, 2, 2), (3, 5), 1, 4),
    "two classes": ((2, 3, 2), (6, 5), 2, 4),
    "10,000 classes": ((1, 1, 2), (2, 3), 10_000, 3),
}
ISDA = {"name": "pixel_isda", "strength": 2.0}
FORMS = {
    "pixel_isda": (ISDA,),
    "pixel_isda, full covariance": ({**ISDA, "covariance": "full"},),
    "pixel_isda, full resolution": ({**ISDA, "resolution": "full"},),
    "auxiliary": ({"name": "auxiliary", "weight": 0.4},),
    "both": (ISDA, {"name": "auxiliary", "weight": 0.4, "loss": (ISDA,)}),
}
DIFFERENTIATED = "two classes"
MATRIX = [("one image", "float32"), (DIFFERENTIATED, "bfloat16")]
SLOW = [(size, "float32") for size in SIZES if size != "one image"]
SLOW += [(DIFFERENTIATED, "float16"), (DIFFERENTIATED, "float64"), ("10,000 classes", "float16")]
PROGRESS = 0.5


def resize(maps, size):
    """Bilinear with the corners on each other, as two products."""
    for axis, new in zip((1, 2), size, strict=True):
        old = maps.shape[axis]
        at = np.arange(new) * (old - 1) / max(new - 1, 1)
        weight = np.maximum(1 - np.abs(at[:, None] - np.arange(old)), 0)
        maps = np.moveaxis(np.tensordot(weight, maps, (1, axis)), 0, axis)
    return maps


def nearest(label, size):
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, label.shape[1:], strict=True))
    return label[:, rows[:, None], columns]


def sigma2(features, kernel, label, full):
    """1/2 lambda (w_j - w_y)^T Sigma_y (w_j - w_y) of pixels with these labels, from the pixels of the coarse maps."""
    coarse = nearest(label, features.shape[1:3])

    def row(y):
        own = features[coarse == y]
        if y < 0 or not len(own):
            return np.zeros(kernel.shape[1])
        centered = own - own.mean(0)
        sigma = centered.T @ centered / len(own)
        difference = kernel.T - kernel.T[y]
        return PROGRESS * ((difference @ (sigma if full else np.diag(np.diag(sigma)))) * difference).sum(1)

    return {y: row(y) for y in np.unique(label)}


def head_loss(head, label, kind):
    """The sum over the pixels with a label of one head's cross-entropy."""
    features, kernel, logits = head
    shift = sigma2(features, kernel, label, kind == "full covariance")

    def at(labels):
        return np.stack([shift[y] for y in labels.reshape(-1)]).reshape(*labels.shape, -1)

    if kind == "full resolution":
        logits = resize(logits, label.shape[1:]) + at(label)
    else:
        coarse = nearest(label, features.shape[1:3])
        logits = resize(logits + (at(coarse) if kind != "plain" else 0.0), label.shape[1:])
    logits = logits - logits.max(-1, keepdims=True)
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -np.take_along_axis(log, np.maximum(label, 0)[..., None], -1)[..., 0][label >= 0].sum()


def expected(form, heads, label):
    kinds = {"auxiliary": ("plain", "plain"), "both": ("", "")}.get(form, (form.partition(", ")[2], None))
    first, second = (0.0 if k is None else head_loss(h, label, k) for h, k in zip(heads, kinds, strict=True))
    return (first + 0.4 * second) / max(np.sum(label >= 0), 1)


def forms_of(size):
    """Full covariances of 10,000 classes, and their table, are left out."""
    return [form for form in FORMS if size != "10,000 classes" or "full" not in form]


@functools.cache
def arrays(size, dtype):
    """Two heads of (features, kernel, logits), exact in the dtype, as float64; the label map with some void."""
    (images, *coarse), shape, classes, depth = SIZES[size]
    rng = np.random.default_rng(classes)

    def rounded(x):
        return np.asarray(x).astype(jnp.dtype(dtype)).astype(np.float64)

    heads = []
    for _ in range(2):
        features, kernel = (
            rounded(rng.normal(size=(images, *coarse, depth))),
            rounded(rng.normal(size=(depth, classes))),
        )
        heads.append((features, kernel, rounded(features @ kernel)))
    few = rng.integers(0, classes, 3)  # so that classes have a variance
    label = few[rng.integers(0, 3, (images, *shape))]
    label[rng.random(label.shape) < 0.1] = -1
    return heads, label


@functools.cache
def results(size, dtype):
    """{form: (loss, gradients of the first head, or none)}, all in one compilation."""
    heads, label = arrays(size, dtype)
    classes, depth = SIZES[size][2:]

    def loss_of(first, second, form):
        (features, kernel, logits), none = first, jnp.zeros(classes, dtype)
        other = ModelOutput(second[0], second[2], second[1], none) if form in ("auxiliary", "both") else None
        output = ModelOutput(features, logits, kernel, none, other)
        batch = Batch(jnp.zeros((*label.shape, 1)), jnp.asarray(label, jnp.int32), jnp.arange(len(label)))
        progress = Progress(jnp.asarray(PROGRESS), jnp.asarray(PROGRESS))
        chain = losses.create(FORMS[form])
        inputs = Segmentation().loss_inputs(output, batch, {}, progress)
        return losses.mean_loss(chain.apply(chain.init(classes, depth, auxiliary_features=depth), inputs)[1])

    @jax.jit
    def everything(first, second):
        if size == DIFFERENTIATED:
            return {form: jax.value_and_grad(loss_of)(first, second, form) for form in forms_of(size)}
        return {form: (loss_of(first, second, form), ()) for form in forms_of(size)}

    def run():
        return jax.device_get(everything(*jax.tree.map(lambda x: jnp.asarray(x, dtype), heads)))

    if dtype != "float64":
        return run()
    with double_precision():
        return run()


CASES = [(size, dtype, form) for size, dtype in MATRIX for form in forms_of(size)]
CASES += [pytest.param(*case, f, marks=pytest.mark.slow) for case in SLOW for f in forms_of(case[0])]


@pytest.mark.parametrize(("size", "dtype", "form"), CASES)
def test_values(size, dtype, form):
    """The arithmetic is float32 or better on what half precision holds; gradients have the precision of the arrays."""
    heads, label = arrays(size, dtype)
    value, gradients = results(size, dtype)[form]
    assert value.dtype == ("float64" if dtype == "float64" else "float32")
    tolerance = 1e-11 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(value, expected(form, heads, label), rtol=tolerance, atol=tolerance)
    for gradient, array in zip(gradients, heads[0], strict=size == DIFFERENTIATED):
        assert (gradient.dtype, gradient.shape) == (jnp.dtype(dtype), array.shape)
        assert np.isfinite(np.asarray(gradient, np.float64)).all()
