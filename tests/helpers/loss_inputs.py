"""Loss inputs of batches whose images are partly hidden, and short ways through a chain, for the tests of targets."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug import losses
from jaxaug.core.types import Batch, ModelOutput, Progress

HALF = Progress(jnp.asarray(0.5), jnp.asarray(0.5))


def inputs_of(logits, labels, visible=None, mix=None, features=None, kernel=None):
    """Loss inputs of a batch whose images show the share `visible` [B] in each pixel."""
    rows, classes = logits.shape
    visibility = None if visible is None else jnp.broadcast_to(jnp.asarray(visible)[:, None, None], (rows, 2, 2))
    batch = Batch(jnp.zeros((rows, 2, 2, 1)), jnp.asarray(labels, jnp.int32), jnp.arange(rows), visibility, mix)
    features = jnp.zeros((rows, 1)) if features is None else features
    kernel = jnp.zeros((features.shape[1], classes)) if kernel is None else kernel
    return losses.cross_entropy_inputs(
        ModelOutput(features, jnp.asarray(logits), kernel, jnp.zeros(classes)), batch, {}, HALF
    )


def loss_and_gradient(inputs, *transforms, state=None):
    """(loss, gradient of the logits, inputs after the chain)."""
    chained = losses.chain(*transforms)

    def loss_of(logits):
        before = chained.init(*inputs.output.kernel.shape[::-1]) if state is None else state
        after = chained.apply(before, inputs.replace(logits=logits))[1]
        return losses.mean_loss(after), after

    (loss, after), gradient = jax.value_and_grad(loss_of, has_aux=True)(inputs.logits)
    return loss, gradient, after


def random_case(rows=6, classes=4, depth=3, mix=None, seed=0):
    """(inputs, softened targets, confidence, logits), the last three by the paper's formula in float64."""
    rng = np.random.default_rng(seed)
    features, kernel = rng.normal(size=(rows, depth)), rng.normal(size=(depth, classes))
    visible, labels = rng.uniform(0.2, 1, rows), rng.integers(0, classes, rows)
    mix = None if mix is None else jnp.full(rows, mix, jnp.float32)
    case = (jnp.asarray(x, jnp.float32) for x in (features @ kernel, visible, features, kernel))
    logits, seen, features_, kernel_ = case
    inputs = inputs_of(logits, labels, seen, mix, features_, kernel_)
    hard = np.eye(classes)[labels]
    p = 1 - (1 - 1 / classes) * (1 - visible) ** 2
    soft = p[:, None] * hard + (1 - p[:, None]) * (1 - hard) / (classes - 1)
    return inputs, soft, p, np.asarray(inputs.logits, np.float64)
