"""The losses on plain arrays: what they take, what they refuse, and where they run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_arrays import ISDA, B, D, K, arrays
from helpers.settings import double_precision

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, ModelOutput, Progress


def value(loss=None, state=None, **given):
    loss = loss or losses.chain()
    state = loss.init(num_classes=K, num_features=D) if state is None else state
    return losses.apply(loss, state, **{**arrays(), **given})[0]


def test_face():
    """`dir` shows the public names and no module; the registered transforms are among them."""
    from jaxaug.core.registry import list_names

    assert dir(losses) == sorted(losses.__all__)
    assert all(callable(getattr(losses, name)) for name in losses.__all__)
    own = {name for name in list_names("loss") if hasattr(losses, name)}
    assert {"isda", "label_smoothing", "soft_targets", "learned_weights"} <= own <= set(losses.__all__)


def test_same_as_the_records():
    """`apply` gives what the trainer computes from its records, value, gradient and state."""
    loss = losses.chain(losses.label_smoothing(0.1), losses.isda(0.5), losses.focal(1.0))
    given, state = arrays(), loss.init(K, D)
    bias = jnp.linspace(0.0, 1.0, K)

    def with_records(kernel):
        out = ModelOutput(given["features"], given["features"] @ kernel + bias, kernel, bias)
        batch = Batch(given["features"], given["labels"], given["labels"])
        inputs = losses.cross_entropy_inputs(out, batch, {}, Progress(jnp.asarray(0.5), jnp.asarray(0.5)))
        after, inputs = loss.apply(state, inputs)
        return losses.mean_loss(inputs), after

    def with_arrays(kernel):
        given_now = {**given, "logits": given["features"] @ kernel + bias, "kernel": kernel, "bias": bias}
        return losses.apply(loss, state, **given_now)

    @jax.jit
    def both(kernel):
        return [jax.value_and_grad(way, has_aux=True)(kernel) for way in (with_records, with_arrays)]

    ((expected, after), gradient), ((actual, after_arrays), actual_gradient) = both(given["kernel"])
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    np.testing.assert_allclose(actual_gradient, gradient, rtol=1e-5, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, after_arrays, after)


@pytest.mark.parametrize("name", ISDA)
def test_bias_is_not_needed(name):
    """With and without a bias: the same loss and gradients, where logits = features @ kernel + bias."""
    transform, classes = ISDA[name]
    given, bias = arrays(classes=classes), np.linspace(0.0, 1.0, classes, dtype=np.float32)

    def loss_of(with_bias, features, kernel):
        logits = features @ kernel + bias
        more = {"logits": logits, "features": features, "kernel": kernel, "bias": bias if with_bias else None}
        return losses.apply(transform, transform.init(classes, D), **{**given, **more})

    @jax.jit
    def both(*given):
        ways = [functools.partial(loss_of, known) for known in (True, False)]
        return [jax.value_and_grad(way, (0, 1), has_aux=True)(*given) for way in ways]

    results = both(given["features"], given["kernel"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *results)


def test_logits_made_otherwise():
    """Without a bias ISDA adds its shift to whatever logits there are: here of a head with a temperature."""
    given = arrays(classes=20)
    transform = losses.isda(2.0, "diagonal")
    state = transform.init(20, D)
    run = jax.jit(lambda logits: losses.apply(transform, state, **{**given, "logits": logits}, per_example=True)[0])
    plain, shifted = run(given["logits"]), run(given["logits"] + 7.0)
    np.testing.assert_allclose(shifted, plain, rtol=1e-5)


def test_mean_and_per_example():
    """The mean is the sum of the parts over the number of labels; weights multiply the parts alone."""
    labels, weights = np.array([0, 1, -1, 2, 3, -7, K, 255]), np.arange(8.0, dtype=np.float32)
    parts = value(labels=labels, weights=weights, per_example=True)
    log_p = jax.nn.log_softmax(arrays()["logits"])
    expected = [-weights[i] * log_p[i, labels[i]] if 0 <= labels[i] < K else 0.0 for i in range(B)]
    np.testing.assert_allclose(parts, expected, rtol=1e-5)
    np.testing.assert_allclose(value(labels=labels, weights=weights), sum(expected) / 4, rtol=1e-5)
    assert value(labels=np.full(B, -1)) == 0


@pytest.mark.parametrize("name", ISDA)
def test_no_label_is_the_same_everywhere(name):
    """Statistics, divisor, loss and gradients are those of the other examples, even if these hold NaN."""
    transform, classes = ISDA[name]
    given = arrays(classes=classes)
    loss = losses.chain(transform, losses.focal(1.0))
    state = loss.init(classes, D)

    @jax.jit
    def gradient(given):
        def loss_of(features, kernel):
            now = {**given, "features": features, "kernel": kernel, "logits": features @ kernel}
            return losses.apply(loss, state, **now)

        return jax.value_and_grad(loss_of, (0, 1), has_aux=True)(given["features"], given["kernel"])

    run = jax.jit(lambda given: losses.apply(loss, state, **given))
    expected = gradient({key: x[:5] if np.ndim(x) and len(x) == B else x for key, x in given.items()})
    broken = np.where(np.arange(B)[:, None] < 5, given["features"], np.nan)
    poisoned = {"features": broken, "logits": broken[:, :1] + given["logits"]}
    for none in (-1, -100, classes, 255):
        labels = np.where(np.arange(B) < 5, given["labels"], none)
        actual = gradient({**given, "labels": labels})
        compared = (actual[0], (actual[1][0][:5], actual[1][1]))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), compared, expected)
        np.testing.assert_array_equal(actual[1][0][5:], 0)
        with_nan = run({**given, **poisoned, "labels": labels})
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(with_nan))


def test_soft_labels():
    """One-hot floats are the labels; zeros are none; a mixture is the mixture of the losses."""
    given, one_hot = arrays(), np.eye(K, dtype=np.float32)[arrays()["labels"]]
    loss = losses.isda(2.0)
    of_labels = jax.jit(lambda labels: losses.apply(loss, loss.init(K, D), **{**given, "labels": labels}))
    hard, soft = of_labels(given["labels"]), of_labels(one_hot)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), soft, hard)
    some = np.where(np.arange(B)[:, None] < 5, one_hot, 0)
    none = np.where(np.arange(B) < 5, given["labels"], -1)
    left, right = of_labels(some), of_labels(none)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), left, right)
    mixed = 0.7 * one_hot + 0.3 * np.roll(one_hot, 1, axis=1)
    parts = [value(labels=np.roll(one_hot, by, axis=1)) for by in (0, 1)]
    np.testing.assert_allclose(value(labels=mixed), 0.7 * parts[0] + 0.3 * parts[1], rtol=1e-5)
    whole = value(labels=mixed.astype(np.float16))
    assert whole.dtype == jnp.float32


@pytest.mark.parametrize("name", ISDA)
def test_pixels(name):
    """Any leading axes: value, parts and statistics are those of all pixels in a row, void ones left out."""
    transform, classes = ISDA[name]
    flat = arrays(rows=24, classes=classes)
    flat = {**flat, "labels": np.where(np.arange(24) % 5 == 0, 255, flat["labels"])}
    pixels = {name: x.reshape(2, 3, 4, *x.shape[1:]) if np.ndim(x) and len(x) == 24 else x for name, x in flat.items()}
    loss = losses.chain(losses.label_smoothing(), transform)
    state = loss.init(classes, D)

    @jax.jit
    def run(given):
        return [losses.apply(loss, state, **given, per_example=per_example) for per_example in (False, True)]

    for actual, expected, shape in zip(run(pixels), run(flat), ((), (2, 3, 4)), strict=True):
        assert actual[0].shape == shape
        np.testing.assert_array_equal(actual[0].ravel(), expected[0].ravel())
        jax.tree.map(np.testing.assert_array_equal, actual[1], expected[1])


def test_visible_and_mixed():
    """Soft and mixed targets from plain arrays: by example, or by pixel of its image."""
    rng = np.random.default_rng(1)
    visible = rng.uniform(0.2, 1.0, B).astype(np.float32)
    p = np.asarray(losses.confidence(visible, K))
    hard = np.eye(K, dtype=np.float32)[arrays()["labels"]]
    soft = p[:, None] * hard + (1 - p[:, None]) * (1 - hard) / (K - 1)
    each = -(soft * jax.nn.log_softmax(arrays()["logits"])).sum(-1) * p
    np.testing.assert_allclose(value(losses.soft_targets(), visible=visible), each.mean(), rtol=1e-5)
    by_pixel = np.broadcast_to(visible[:, None, None], (B, 2, 2))
    np.testing.assert_allclose(value(losses.soft_targets(), visible=by_pixel), each.mean(), rtol=1e-5)
    parts = [value(labels=np.roll(arrays()["labels"], by)) for by in (0, 1)]
    for ratio in (0.3, np.full(B, 0.3, np.float32)):
        mixed = value(losses.mixed_targets(), mix_ratio=ratio)
        np.testing.assert_allclose(mixed, 0.3 * parts[0] + 0.7 * parts[1], rtol=1e-5)


def test_only_what_is_needed():
    """Logits and labels are enough for all but ISDA, which asks for the rest and for the progress."""
    loss = losses.chain(losses.label_smoothing(), losses.kl_divergence(), losses.focal())
    state = loss.init(num_classes=K)
    few = {"logits": arrays()["logits"], "labels": arrays()["labels"]}
    assert np.isfinite(losses.apply(loss, state, **few)[0])
    transform = losses.isda()
    with pytest.raises(UsageError, match="isda: needs features"):
        losses.apply(transform, transform.init(K, D), **few, progress=0.5)
    with pytest.raises(UsageError, match="isda: schedule='epoch' needs progress"):
        losses.apply(transform, transform.init(K, D), **{**arrays(), "progress": None})
    constant = losses.isda(schedule="constant")
    assert np.isfinite(losses.apply(constant, constant.init(K, D), **{**arrays(), "progress": None})[0])


def test_meta():
    """What a search may change arrives by name, for every example and for all."""
    loss = losses.chain(losses.learned_weights("none"), losses.isda(0.5, "diagonal", learned=True))
    state, raw = loss.init(K, D), jnp.linspace(-1.0, 1.0, B)
    meta = losses.MetaParams({"weight": raw}, {"strength": jnp.log(2.0)})
    fixed = losses.isda(1.0, "diagonal")
    expected = losses.apply(fixed, fixed.init(K, D), **arrays(), weights=np.log1p(np.exp(raw)) / np.log(2))[0]
    np.testing.assert_allclose(losses.apply(loss, state, **arrays(), meta=meta)[0], expected, rtol=1e-5)
    with pytest.raises(UsageError, match=r"apply: meta.per_example must begin with axes \[8\], got \[3\]"):
        losses.apply(loss, state, **arrays(), meta=losses.MetaParams({"weight": raw[:3]}))


MISTAKES = {
    "labels [B, 1]": (
        {"labels": np.zeros((B, 1), int)},
        r"integers \[8\] or floats \[8, 5\].*give labels\[\.\.\., 0\]",
    ),
    "one-hot integers": ({"labels": np.eye(B, K, dtype=int)}, "apply: .*give one-hot labels as floats"),
    "float labels": ({"labels": np.zeros(B, np.float32)}, r"apply: .*labels must be integers.*got float32 \[8\]"),
    "bool labels": ({"labels": np.zeros(B, bool)}, r"apply: .*got bool \[8\]"),
    "soft labels of other classes": ({"labels": np.zeros((B, 4), np.float32)}, r"apply: .*got float32 \[8, 4\]"),
    "transposed kernel": (
        {"kernel": np.zeros((K, D), np.float32)},
        r"apply: kernel must be \[D K\], \[6, 5\], got \[5, 6\]: .*transpose",
    ),
    "kernel of other classes": (
        {"kernel": np.zeros((D, 4), np.float32)},
        r"apply: kernel .*\[6, 5\], got \[6, 4\](?!:)",
    ),
    "kernel with one axis": ({"kernel": np.zeros(D, np.float32)}, r"apply: kernel .*got \[6\]"),
    "bias": ({"bias": np.zeros(4, np.float32)}, r"apply: bias must be \[5\], got \[4\]"),
    "integer logits": ({"logits": np.zeros((B, K), int)}, r"apply: logits must be floats, got int"),
    "integer features": ({"features": np.zeros((B, D), int)}, r"apply: features must be floats, got int"),
    "no array": ({"logits": "many"}, r"apply: logits must be an array, got str"),
    "a single number": ({"logits": 1.0}, r"apply: logits must be \[\.\.\. K\]"),
    "fewer features": ({"features": np.zeros((B - 1, D), np.float32)}, r"apply: features .*got \[7, 6\] and \[8, 5\]"),
    "classes first": ({"logits": np.zeros((2, K, 3, 3), np.float32)}, "apply: features .*classes and features last"),
    "weights": ({"weights": np.ones((B, 1), np.float32)}, r"apply: weights must be \[8\], got \[8, 1\]"),
    "visible": ({"visible": np.ones(3, np.float32)}, r"apply: visible must be \[8\], got \[3\]"),
    "mix_ratio": ({"mix_ratio": np.ones(3, np.float32)}, r"apply: mix_ratio must be \[8\], got \[3\]"),
    "steps as progress": ({"progress": 5}, r"apply: progress is the share .*0\.\.1, got 5"),
    "negative progress": ({"progress": jnp.asarray(-0.1)}, "apply: progress is the share"),
    "progress of each": ({"progress": np.ones(B)}, r"apply: progress must be one number, got an array \[8\]"),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("jitted", [False, True])
def test_mistakes(name, jitted):
    """One message, eagerly and when traced."""
    changed, message = MISTAKES[name]
    run = functools.partial(value, losses.isda(), **changed)
    with pytest.raises(UsageError, match=message):
        (jax.jit(run) if jitted else run)()


@pytest.mark.parametrize("name", ISDA)
def test_an_empty_batch(name):
    """Its loss is 0, and the state stays."""
    transform, classes = ISDA[name]
    none = {key: x[:0] if np.ndim(x) and len(x) == B else x for key, x in arrays(classes=classes).items()}
    value, after = losses.apply(transform, transform.init(classes, D), **none)
    assert value == 0
    jax.tree.map(np.testing.assert_array_equal, after, transform.init(classes, D))


def test_mixing_of_pixels_is_refused():
    pixels = {"logits": np.zeros((2, 3, 3, K), np.float32), "labels": np.zeros((2, 3, 3), int)}
    with pytest.raises(UsageError, match=r"apply: mix_ratio is for examples \[B\]"):
        losses.apply(losses.chain(), {}, **pixels, mix_ratio=0.5)


@pytest.mark.parametrize(
    ("loss", "state", "message"),
    [
        (
            losses.isda(),
            losses.isda().init(100, D),
            r"isda: .*init\(num_classes=100, num_features=6\).* 5 classes and 6",
        ),
        (losses.isda(), losses.isda().init(K, 64), r"isda: .*num_features=64.* 5 classes and 6 features"),
        (losses.isda(), losses.isda(covariance="diagonal").init(K, D), "isda: covariance is 'full'"),
        (losses.isda(), (), "isda: its state must be the FeatureStatistics"),
        (
            losses.chain(losses.isda()),
            losses.isda().init(K, D),
            r"chain: its state .*\['isda'\], got FeatureStatistics",
        ),
        (losses.chain(losses.isda()), {}, r"chain: its state .*\['isda'\], got \[\]"),
    ],
)
def test_state_of_something_else(loss, state, message):
    with pytest.raises(UsageError, match=message):
        value(loss, state)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_classes": 0, "num_features": 3}, "num_classes must be a whole number of at least 1, got 0"),
        ({"num_classes": 2.5, "num_features": 3}, "num_classes must be a whole number of at least 1, got 2.5"),
        ({"num_classes": 3, "num_features": 0}, "isda: num_features must be a whole number of at least 1, got 0"),
        ({"num_classes": 3, "num_features": 2, "class_counts": np.ones(4)}, r"class_counts must be \[3\], got \[4\]"),
    ],
)
def test_sizes(sizes, message):
    with pytest.raises(UsageError, match=message):
        losses.chain(losses.isda()).init(**sizes)


def test_check_labels():
    losses.check_labels(np.array([-1, 0, 4]), K)
    losses.check_labels(np.array([255, 0, 4], np.uint8), K, no_label=(255,))
    with pytest.raises(UsageError, match=r"3 of 4 labels are outside 0\.\.4: -2, 5"):
        losses.check_labels(np.array([1, 5, 5, -2]), K)
    with pytest.raises(UsageError, match="must be integers, got float64"):
        losses.check_labels(np.zeros(3), K)
    with pytest.raises(UsageError, match="outside jit"):
        jax.jit(lambda x: losses.check_labels(x, K))(jnp.zeros(3, int))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint32"])
def test_integer_types_of_labels(dtype):
    """The number of classes need not fit the type of the labels."""
    labels = np.array([0, 1, 2, 3, 100, 1, 1, 1]).astype(dtype)
    logits = np.random.default_rng(0).normal(size=(B, 300)).astype(np.float32)
    only = {"logits": logits, "labels": labels}
    expected = -jax.nn.log_softmax(logits)[np.arange(B), labels.astype(int)].mean()
    np.testing.assert_allclose(losses.apply(losses.chain(), {}, **only)[0], expected, rtol=1e-6)
    with double_precision():
        np.testing.assert_allclose(losses.apply(losses.chain(), {}, **only)[0], expected, rtol=1e-6)


@pytest.mark.parametrize("wrong", [2**32 + 1, -(2**32) + 1, 2**62])
def test_a_label_beyond_32_bits_is_none(wrong):
    logits = np.random.default_rng(0).normal(size=(2, K)).astype(np.float32)
    found = losses.apply(losses.chain(), {}, logits=logits, labels=np.array([1, wrong]))[0]
    alone = losses.apply(losses.chain(), {}, logits=logits, labels=np.array([1, -1]))[0]
    np.testing.assert_allclose(found, alone, rtol=1e-6)
