"""Online label smoothing against its definition in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Progress

K, ROWS, EPOCHS = 4, 12, 3


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_three_epochs_of_two_steps():
    """Class 3 is never answered rightly; a row without a label changes nothing."""
    random = np.random.default_rng(0)
    loss = losses.online_label_smoothing(0.6)
    state = loss.init(K, 0)
    step = jax.jit(
        lambda state, logits, labels, progress: losses.apply(
            loss, state, logits=logits, labels=labels, progress=progress, per_example=True
        )
    )
    table, sums, count = np.full((K, K), 1 / K), np.zeros((K, K)), np.zeros(K)
    for epoch in range(EPOCHS):
        if epoch:
            table = np.where(count[:, None] > 0, sums / np.maximum(count[:, None], 1), 1 / K)
            sums, count = np.zeros((K, K)), np.zeros(K)
        for _ in range(2):
            labels = random.integers(0, K, ROWS)
            labels[0] = -1
            logits = random.normal(size=(ROWS, K))
            logits[:, 3] -= 9
            share = jnp.asarray(epoch / EPOCHS)
            value, state = step(state, logits.astype(np.float32), labels, Progress(share, share, EPOCHS))
            p = softmax(logits)
            targets = 0.6 * np.eye(K)[labels] + 0.4 * table[labels]
            expected = np.where(labels < 0, 0, -(targets * np.log(p)).sum(1))
            np.testing.assert_allclose(value, expected, rtol=2e-5, atol=1e-6)
            for row in np.flatnonzero(p.argmax(1) == labels):
                sums[labels[row]] += p[row]
                count[labels[row]] += 1
    assert count[3] == 0
    assert count[:3].min() > 0
    assert step._cache_size() == 1


def test_shards_answer_together():
    """Inside vmap with an axis the state is that of the whole batch."""
    loss = losses.online_label_smoothing(axis_name="shards")
    random = np.random.default_rng(1)
    logits, labels = jnp.asarray(random.normal(size=(ROWS, K))), jnp.asarray(random.integers(0, K, ROWS))
    progress = Progress(jnp.zeros(()), jnp.zeros(()), EPOCHS)

    def one(logits, labels, loss=loss):
        return losses.apply(loss, loss.init(K, 0), logits=logits, labels=labels, progress=progress)[1]

    parts = jax.jit(jax.vmap(one, axis_name="shards"))(logits.reshape(2, -1, K), labels.reshape(2, -1))
    whole = jax.jit(functools.partial(one, loss=losses.online_label_smoothing()))(logits, labels)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-6), parts, whole)


def test_mistakes():
    loss = losses.online_label_smoothing()
    arrays = {"logits": jnp.zeros((2, K)), "labels": jnp.zeros(2, int)}
    for progress in (None, 0.5):
        with pytest.raises(UsageError, match="progress must tell the epochs"):
            losses.apply(loss, loss.init(K, 0), **arrays, progress=progress)
    with pytest.raises(UsageError, match=r"hard must be in \[0, 1\], got 2"):
        losses.online_label_smoothing(2.0)
