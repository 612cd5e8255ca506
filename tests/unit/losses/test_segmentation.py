"""Losses of label maps against the reference's golden vectors, and against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import GOLDEN

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, ModelOutput, Progress
from jaxaug.tasks import Segmentation

TASK = Segmentation()
ISDA = {"name": "pixel_isda", "strength": 1.0}


def output_of(features, kernel, bias, second=None):
    return ModelOutput(features, features @ kernel + bias, kernel, bias, second)


def batch_of(label):
    return Batch(jnp.zeros((*label.shape, 1)), jnp.asarray(label, jnp.int32), jnp.arange(len(label)))


def inputs_of(output, label, share=1.0):
    return TASK.loss_inputs(output, batch_of(label), {}, Progress(jnp.asarray(share), jnp.asarray(share)))


@pytest.fixture(scope="module")
def golden_step():
    """((loss, (parts, state)), gradients) of (heads, state, label, share), compiled once for each number of classes."""
    chain = losses.create((ISDA, {"name": "auxiliary", "weight": 0.4, "loss": (ISDA,)}))

    def loss(heads, state, label, share):
        second = output_of(*heads[1])
        inputs = inputs_of(output_of(*heads[0], second), label, share)
        state, inputs = chain.apply(state, inputs)
        part = losses.per_example_loss(inputs).reshape(2, -1).sum(axis=1) / jnp.sum(inputs.batch.labelled)
        return losses.mean_loss(inputs), (part, state)

    return chain, jax.jit(jax.value_and_grad(loss, has_aux=True))


@pytest.mark.parametrize("prefix", ["seg", "seg5"])
def test_golden(prefix, golden_step):
    golden = np.load(GOLDEN / "isda.npz")
    chain, step = golden_step

    def known(name):
        return golden[f"{prefix}_f64_{name}"]

    features, labels = golden[f"{prefix}_features"], golden[f"{prefix}_labels"]
    weight, bias = golden[f"{prefix}_conv_weight"][..., 0, 0], golden[f"{prefix}_conv_bias"]
    classes = weight.shape[2]
    state = chain.init(classes, 12, auxiliary_features=12)
    for t, ratio in enumerate(golden[f"{prefix}_ratio"]):
        heads = [(features[h, t].transpose(0, 2, 3, 1), weight[h, t].T, bias[h, t]) for h in range(2)]
        label = np.where(labels[t] == 255, -1, labels[t])
        (value, (parts, state)), grads = step(heads, state, label, float(ratio))
        np.testing.assert_allclose(value, known("loss")[t], rtol=1e-5)
        np.testing.assert_allclose(parts[0], known("loss_main")[t], rtol=1e-5)
        np.testing.assert_allclose(parts[1], 0.4 * known("loss_aux")[t], rtol=1e-5)
        for head, which, statistics in (
            (0, "main", state["pixel_isda"]),
            (1, "aux", state["auxiliary"]["pixel_isda"]),
        ):
            for name, key in (("count", "count"), ("mean", "mean"), ("covariance", "cov")):
                expected = known(f"{which}_{key}")[t][:classes]
                np.testing.assert_allclose(getattr(statistics, name), expected, rtol=1e-5, atol=1e-6)
            found = [grads[head][0].transpose(0, 3, 1, 2), grads[head][1].T, grads[head][2]]
            for array, name in zip(found, ("features", "weight", "bias"), strict=True):
                expected = known(f"{which}_grad_{name}")[t]
                np.testing.assert_allclose(array, expected.reshape(array.shape), rtol=1e-5, atol=1e-6)


def pixels(seed=0, classes=3):
    """LossInputs of two images of 4 x 5 pixels, some void."""
    rng = np.random.default_rng(seed)
    features = jnp.asarray(rng.normal(size=(2, 4, 5, 6)), jnp.float32)
    output = output_of(features, jnp.asarray(rng.normal(size=(6, classes)), jnp.float32), jnp.zeros(classes))
    return inputs_of(output, rng.integers(-1, classes, (2, 4, 5)), 0.5)


def test_at_full_resolution_each_pixel_has_the_shift_of_its_own_label():
    """Maps as large as the image: there both resolutions are the same."""
    inputs, found = pixels(), []
    for resolution in ("low", "full"):
        loss = losses.pixel_isda(2.0, resolution=resolution)
        found.append(jax.jit(loss.apply)(loss.init(3, 6), inputs)[1].logits)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    void = ~np.asarray(inputs.batch.labelled)
    np.testing.assert_array_equal(found[0][void], inputs.logits[void])
    assert np.abs(found[0] - inputs.logits).max() > 0.01


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_no_array_has_numbers_of_pixels_by_classes_by_features(covariance):
    """What is held besides the inputs, by XLA's analysis, beside the [P C D] numbers of the papers' code."""
    images, side, classes, depth = 2, 16, 40, 32
    loss = losses.pixel_isda(2.0, covariance)

    def value(features, kernel, state, label):
        state, inputs = loss.apply(state, inputs_of(output_of(features, kernel, jnp.zeros(classes)), label))
        return losses.mean_loss(inputs), state

    shapes = (images, side, side, depth), (depth, classes)
    arguments = [*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes), loss.init(classes, depth)]
    label = jax.ShapeDtypeStruct((images, side, side), jnp.int32)
    step = jax.jit(jax.value_and_grad(value, argnums=(0, 1), has_aux=True))
    held = step.lower(*arguments, label).compile().memory_analysis().temp_size_in_bytes
    assert held < 4 * images * side**2 * classes * depth / 2


def test_ohem_keeps_the_hard_pixels():
    inputs = pixels()
    known = np.asarray(inputs.batch.labelled)
    probability = np.asarray(jnp.sum(inputs.targets * jax.nn.softmax(inputs.logits), axis=-1))
    for threshold, least in ((0.3, 0.0), (1e-6, 5), (1e-6, 0.25), (1e-6, 1000)):
        loss = losses.ohem(threshold, least)
        weight = np.asarray(loss.apply((), inputs)[1].weight)
        wanted = min(known.sum(), int(np.ceil(least * known.sum())) if least < 1 else least)
        limit = max(threshold, np.sort(probability[known])[wanted - 1] if wanted else 0)
        kept = known & (probability <= limit)
        np.testing.assert_allclose(weight, np.where(kept, known.sum() / kept.sum(), 0.0), rtol=1e-6)


def test_class_weights():
    inputs, label = pixels(), np.asarray(pixels().batch.label)
    weights = np.array([1.0, 2.0, 4.0])
    own = np.where(label >= 0, weights[label], 0.0)
    for loss in (losses.class_weights((1.0, 2.0, 4.0)), losses.class_weights(by="median_frequency")):
        state = loss.init(3, 6, class_counts=jnp.asarray([40.0, 20.0, 10.0]))
        np.testing.assert_allclose(state / state[0], weights)
        found = loss.apply(state, inputs)[1].weight
        np.testing.assert_allclose(found, own / own[label >= 0].mean(), rtol=1e-6)
    with pytest.raises(UsageError, match="3 classes need as many weights, got 2"):
        losses.class_weights((1.0, 2.0)).init(3)


def test_soft_targets_are_softened_pixel_by_pixel():
    """By what of a pixel is seen, as `soft_crop` and cutouts with `soften` leave it; void pixels stay 0."""
    rng = np.random.default_rng(0)
    label, seen = rng.integers(-1, 3, (2, 4, 5)), rng.integers(0, 3, (2, 4, 5)) / 2
    batch = batch_of(label).replace(visibility=jnp.asarray(seen, jnp.float32))
    output = output_of(jnp.zeros((2, 4, 5, 6)), jnp.zeros((6, 3)), jnp.zeros(3))
    inputs = TASK.loss_inputs(output, batch, {}, Progress(jnp.asarray(0.5), jnp.asarray(0.5)))
    loss = losses.soft_targets(1.0, weight="none")
    found = np.asarray(loss.apply(loss.init(3, 6), inputs)[1].targets).reshape(2, 4, 5, 3)
    own = np.take_along_axis(found, np.maximum(label, 0)[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(own, np.where(label < 0, 0.0, 1 / 3 + 2 / 3 * seen), rtol=1e-6)


def test_lovasz_is_one_minus_iou_of_sure_predictions():
    """For probabilities 0 and 1 the surrogate is exact: the mean of 1 - IoU over the classes that are there."""
    inputs = pixels()
    label, known = np.asarray(inputs.batch.label), np.asarray(inputs.batch.labelled)
    said = np.random.default_rng(1).integers(0, 3, len(label))
    inputs = inputs.replace(logits=1e4 * jax.nn.one_hot(said, 3))
    found = float(losses.lovasz(2.0).apply((), inputs)[1].extra[0])
    iou = [np.sum(known & (label == k) & (said == k)) / np.sum(known & ((label == k) | (said == k))) for k in range(3)]
    assert found == pytest.approx(2.0 * (1 - np.mean(iou)), rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.pixel_isda(resolution="half"), "resolution must be one of"),
        (lambda: losses.pixel_isda(-1.0), "strength must be at least 0"),
        (lambda: losses.auxiliary(-0.1), "auxiliary: weight must be at least 0"),
        (lambda: losses.ohem(0.0), "ohem: threshold must be in"),
        (lambda: losses.class_weights(by="rarity"), "class_weights: by must be one of"),
        (lambda: losses.lovasz(-1.0), "lovasz: factor must be at least 0"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_images_without_label_maps_are_refused():
    loss = losses.pixel_isda()
    with pytest.raises(UsageError, match="is for label maps: use task 'segmentation'"):
        losses.apply(
            loss,
            loss.init(3, 2),
            features=np.ones((4, 2)),
            logits=np.ones((4, 3)),
            kernel=np.ones((2, 3)),
            labels=np.zeros(4, int),
            progress=0.5,
        )
