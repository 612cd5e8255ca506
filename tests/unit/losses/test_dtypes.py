"""Every registered loss in every precision and at the edges of its sizes, against float64 NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_arrays import MEMBERS
from helpers.settings import double_precision

from jaxaug import losses
from jaxaug.core.registry import resolve
from jaxaug.core.types import Progress

SIZES = {  # rows, classes, features
    "one example": (1, 5, 4),
    "one class": (6, 1, 4),
    "two classes": (6, 2, 4),
    "more classes than examples": (4, 9, 3),
    "10,000 classes": (3, 10_000, 4),
}
DTYPES = ("float32", "bfloat16", "float16", "float64")
# Every size in float32, every precision at the sizes where rounding or overflow would tell; derivatives at one of them.
MATRIX = [(size, "float32") for size in SIZES]
MATRIX += [("two classes", dtype) for dtype in DTYPES[1:]] + [("10,000 classes", "float16")]
DIFFERENTIATED = "two classes"
FORMS = {
    **{name: {} for name in MEMBERS},
    "isda, diagonal": {"covariance": "diagonal"},
    "isda, expected": {"labels": "expected", "covariance": "diagonal"},
    "kl_divergence, symmetric": {"symmetric": True},
    "label_smoothing, others": {"over": "others"},
    # Of label maps, but for any rows; those that need maps are in test_segmentation_dtypes.py.
    "class_weights": {},
    "lovasz": {},
    "ohem": {"threshold": 0.3, "least": 1},
}
PROGRESS = 0.5


def softmax(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def others(targets):
    return (targets.sum(-1, keepdims=True) - targets) / max(targets.shape[-1] - 1, 1)


def shift(features, kernel, labels, diagonal):
    """1/2 lambda (w_j - w_y)^T Sigma_y (w_j - w_y), Sigma of the batch alone."""
    rows = []
    for y in labels:
        centered = features[labels == y] - features[labels == y].mean(0)
        sigma = centered.T @ centered / len(centered)
        sigma = np.diag(np.diag(sigma)) if diagonal else sigma
        difference = kernel.T - kernel.T[y]
        rows.append(0.5 * (0.5 * PROGRESS) * ((difference @ sigma) * difference).sum(1))
    return np.stack(rows)


def lovasz(p, labels):
    """The mean over the classes that are there of the errors' sum, weighted by what each adds to 1 - IoU."""
    found = []
    for k in np.unique(labels):
        own = labels == k
        error = np.abs(own - p[:, k])
        order = np.argsort(-error)
        left, outside = own.sum() - np.cumsum(own[order]), np.cumsum(~own[order])
        found.append(np.sum(error[order] * np.diff(1 - left / (own.sum() + outside), prepend=0.0)))
    return np.mean(found)


def of_pixels(form, t, p, labels):
    """(weights, extra) of the losses that are made for pixels."""
    if form == "class_weights":
        share = np.bincount(labels, minlength=t.shape[1]) / len(labels)
        weight = np.median(share[share > 0]) / share[labels]
        return weight / weight.mean(), 0.0
    if form == "lovasz":
        return np.ones(len(labels)), lovasz(p, labels)
    own = (t * p).sum(-1)
    hard = own <= max(own.min(), 0.3)
    return hard * len(labels) / hard.sum(), 0.0


def expected(form, features, kernel, logits, labels, visible, mix):
    """The mean loss of a form by its formula."""
    t, weight, extra = np.eye(logits.shape[1])[labels], np.ones(len(labels)), 0.0
    if form.startswith("isda"):
        logits = logits + shift(features, kernel, labels, diagonal=form != "isda")
    elif form in ("label_smoothing", "learned_targets"):
        t = 0.9 * t + 0.1 / t.shape[1]
    elif form == "online_label_smoothing":  # the table is uniform in the first epoch; it turns at the half
        t = 0.5 * t + 0.5 / t.shape[1]
    elif form == "label_smoothing, others":
        t = 0.9 * t + 0.1 * others(t)
    elif form == "soft_targets":
        weight = 1 - (1 - 1 / t.shape[1]) * (1 - visible) ** 2
        t = weight[:, None] * t + (1 - weight[:, None]) * others(t)
    elif form == "mixed_targets":
        t = mix[:, None] * t + (1 - mix[:, None]) * np.roll(t, 1, axis=0)
    elif form == "focal":
        weight = (1 - (t * softmax(logits)).sum(-1)) ** 2
    elif form in ("class_weights", "lovasz", "ohem"):
        weight, extra = of_pixels(form, t, softmax(logits), labels)
    elif form == "kl_divergence, symmetric":
        p = softmax(logits)
        reverse = (p * (np.log(p) - np.log(np.maximum(t, 1e-30)))).sum(-1)
        extra = 0.5 * (reverse + (t * np.log(p)).sum(-1))
    else:
        assert form in ("kl_divergence", "learned_weights"), f"{form} needs its formula here"
    return np.mean(weight * (-(t * np.log(softmax(logits))).sum(-1) + extra))


@functools.cache
def arrays(size, dtype):
    """Floats rounded to the dtype, as float64: features, kernel, logits, visible, mix; and the labels."""
    rows, classes, depth = SIZES[size]
    rng = np.random.default_rng(rows)

    def rounded(x):
        return np.asarray(x).astype(jnp.dtype(dtype)).astype(np.float64)

    features, kernel = rounded(rng.normal(size=(rows, depth))), rounded(rng.normal(size=(depth, classes)))
    labels = rng.integers(0, classes, rows)
    labels[-1] = labels[0]  # so that a class has a variance
    floats = {
        "features": features,
        "kernel": kernel,
        "logits": rounded(features @ kernel),
        "visible": rounded(rng.uniform(0.2, 1.0, rows)),
        "mix_ratio": rounded(rng.uniform(0.5, 1.0, rows)),
    }
    return floats, labels


@functools.cache
def results(size, dtype):
    """{form: (loss, gradients of features, kernel and logits, or None)}, all in one compilation."""
    floats, labels = arrays(size, dtype)
    transforms = {form: resolve("loss", form.split(",")[0])(**options) for form, options in FORMS.items()}
    _, classes, depth = SIZES[size]
    progress, counts = Progress(PROGRESS, PROGRESS, epochs=2), np.bincount(labels, minlength=classes)

    def loss_of(differentiated, others, transform):
        state = transform.init(classes, depth, class_counts=counts)
        return losses.apply(transform, state, **differentiated, **others, labels=labels, progress=progress)[0]

    @jax.jit
    def everything(floats):
        names = ("features", "kernel", "logits")
        parts = {n: floats[n] for n in names}, {n: x for n, x in floats.items() if n not in names}
        if size == DIFFERENTIATED:
            return {form: jax.value_and_grad(loss_of)(*parts, transform) for form, transform in transforms.items()}
        return {form: (loss_of(*parts, transform), None) for form, transform in transforms.items()}

    def run():
        return jax.device_get(everything({name: jnp.asarray(x, dtype) for name, x in floats.items()}))

    if dtype != "float64":
        return run()
    with double_precision():
        return run()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("size", "dtype"), MATRIX)
def test_values(form, size, dtype):
    """The arithmetic is float32 or better on what half precision holds; gradients have the precision of the arrays."""
    floats, labels = arrays(size, dtype)
    value, gradients = results(size, dtype)[form]
    desired = expected(
        form, floats["features"], floats["kernel"], floats["logits"], labels, floats["visible"], floats["mix_ratio"]
    )
    assert value.dtype == ("float64" if dtype == "float64" else "float32")
    tolerance = 1e-11 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(value, desired, rtol=tolerance, atol=tolerance)
    for name, gradient in (gradients or {}).items():
        assert gradient.dtype == dtype
        assert gradient.shape == floats[name].shape
        assert np.isfinite(np.asarray(gradient, np.float64)).all()


@pytest.mark.parametrize("kind", ["full", "diagonal"])
@pytest.mark.parametrize(("dtype", "classes"), [("bfloat16", 3), ("float16", 20)])
def test_half_precision_is_close_to_single(dtype, kind, classes):
    """With a bias, in every form of ISDA: loss and gradients within the arrays' rounding; the state stays float32."""
    rng = np.random.default_rng(0)
    features, kernel, bias = rng.normal(size=(8, 6)), rng.normal(size=(6, classes)), rng.normal(size=classes)
    labels = rng.integers(0, classes, 8)
    transform = losses.isda(1.0, kind, schedule="constant")

    @jax.jit
    def step(features, kernel, bias):
        def loss_of(features, kernel):
            return losses.apply(
                transform, transform.init(classes, 6), features=features, logits=features @ kernel + bias,
                kernel=kernel, bias=bias, labels=labels,
            )  # fmt: skip

        return jax.value_and_grad(loss_of, (0, 1), has_aux=True)(features, kernel)

    (value, state), gradients = step(*(jnp.asarray(x, dtype) for x in (features, kernel, bias)))
    (single, _), single_gradients = step(*(jnp.asarray(x, jnp.float32) for x in (features, kernel, bias)))
    rounding = float(jnp.finfo(dtype).eps)
    assert {x.dtype for x in jax.tree.leaves(state)} == {jnp.dtype("float32")}
    np.testing.assert_allclose(value, single, rtol=4 * rounding)
    for half, full in zip(gradients, single_gradients, strict=True):
        assert half.dtype == dtype
        np.testing.assert_allclose(np.asarray(half, np.float32), full, atol=8 * rounding * abs(full).max())


# The others ask for some of every class, so that ruling one out costs infinitely much.
HARD = [form for form in FORMS if not form.startswith(("label_smoothing", "learned_t", "soft_t", "mixed_t", "online"))]


@functools.cache
def ruled_out(dtype):
    """{form: (loss, gradient of the logits)} where the last class has a logit of -inf, all in one compilation."""
    rng = np.random.default_rng(0)
    features, kernel, labels = rng.normal(size=(6, 4)), rng.normal(size=(4, 5)), np.array([0, 1, 2, 0, 1, 2])
    logits = jnp.asarray(features @ kernel, dtype)
    more = {"features": jnp.asarray(features, dtype), "kernel": jnp.asarray(kernel, dtype)}

    def loss_of(logits, form):
        transform = resolve("loss", form.split(",")[0])(**FORMS[form])
        logits = logits + jnp.asarray([0, 0, 0, 0, -jnp.inf], dtype)
        state = transform.init(5, 4, class_counts=np.array([2, 2, 2, 0, 0]))
        return losses.apply(transform, state, logits=logits, labels=labels, progress=0.0, **more)[0]

    found = jax.jit(lambda logits: {form: jax.value_and_grad(loss_of)(logits, form) for form in HARD})(logits)
    kept = logits[:, :4].astype(jnp.float32)
    return found, -jax.nn.log_softmax(kept)[np.arange(6), labels].mean()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("form", HARD)
def test_classes_that_are_ruled_out(form, dtype):
    """Logits of -inf where the target is 0: finite loss and gradients, as of the other classes alone."""
    found, of_others = ruled_out(dtype)
    value, gradient = found[form]
    assert np.isfinite(value)
    assert np.isfinite(np.asarray(gradient, np.float32)).all()
    if form in ("isda", "kl_divergence"):
        np.testing.assert_allclose(value, of_others, rtol=1e-5)


@pytest.mark.fault(
    "a logit of -inf for a class with a target, in {form}", "a loss of inf, as the formula has it, not NaN"
)
@pytest.mark.parametrize("form", [*HARD, "label_smoothing", "soft_targets", "mixed_targets", "learned_targets"])
def test_classes_that_are_ruled_out_and_asked_for(form):
    transform = resolve("loss", form.split(",")[0])(**FORMS[form])
    logits = np.array([[1.0, -np.inf, 0.0]], np.float32)
    more = {"features": np.ones((1, 2), np.float32), "kernel": np.zeros((2, 3), np.float32)}
    state = transform.init(3, 2, class_counts=np.array([0, 1, 0]))
    value, _ = losses.apply(transform, state, logits=logits, labels=np.array([1]), progress=0.0, **more)
    assert value == np.inf


def test_cross_entropy_in_half_precision():
    """By itself, too: float16 and -inf, value and both gradients."""
    logits = jnp.asarray([[1.0, -jnp.inf, 2.0]], jnp.float16)
    targets = jnp.asarray([[1.0, 0.0, 0.0]], jnp.float16)
    value, gradients = jax.value_and_grad(lambda *x: losses.cross_entropy(*x).sum(), (0, 1))(targets, logits)
    np.testing.assert_allclose(value, np.log1p(np.exp(1.0)), rtol=1e-6)
    assert all(np.isfinite(np.asarray(x, np.float32)).all() and x.dtype == jnp.float16 for x in gradients)
