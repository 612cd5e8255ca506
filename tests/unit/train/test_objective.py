"""The one objective: how a batch is given to the model."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.models.api import apply_model, init_model
from jaxaug.train.objective import Parts


class Normed(nn.Module):
    """BatchNorm, dropout and a head."""

    @nn.compact
    def __call__(self, image, train):
        features = nn.BatchNorm(use_running_average=not train, momentum=0.9)(image.mean((1, 2)))
        features = nn.Dropout(0.5, deterministic=not train)(features)
        return features, nn.Dense(2, name="head")(features)


def parts_of(groups):
    return Parts(None, Normed(), None, None, steps_per_epoch=1, epochs=1, groups=groups)


@pytest.mark.parametrize("groups", [1, 2])
def test_each_group_has_its_own_statistics(groups):
    """A batch in two groups is two batches, whose running statistics are averaged."""
    image = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 4, 3)), jnp.float32)
    params, model_state = init_model(Normed(), jax.random.key(0), (4, 4, 3))
    key = jax.random.key(1)
    output, after = parts_of(groups).trained(params, model_state, image, key)
    keys = [key] if groups == 1 else jax.random.split(key, groups)
    singles = [
        apply_model(Normed(), params, model_state, part, train=True, key=own)
        for part, own in zip(image.reshape(groups, -1, *image.shape[1:]), keys, strict=True)
    ]
    for name in ("features", "logits"):
        expected = np.concatenate([getattr(single, name) for single, _ in singles])
        np.testing.assert_allclose(getattr(output, name), expected, rtol=1e-5, atol=1e-6)
    assert output.kernel.shape == (3, 2)
    mean = jax.tree.map(lambda *states: np.mean(states, axis=0), *[state for _, state in singles])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), after, mean)
