"""Losses of label maps against the reference's golden vectors, and against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import GOLDEN

from jaxaug import losses
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
