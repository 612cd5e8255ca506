"""Draws in NumPy follow the policy, as those under JAX do; the face of policies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare, ks_2samp

from jaxaug import policies
from jaxaug.core.errors import UsageError
from jaxaug.policies.sampling import sample

ROTATE = [[[("Rotate", 1.0, 1.0)]]]


def draws(policy, count, row=None):
    rng = np.random.default_rng(0)
    return [policies.sample_numpy(rng, policy, row) for _ in range(count)]


@pytest.mark.parametrize("name", ["autoaugment_svhn", "deepaa_cifar_1"])
def test_ops_follow_the_probabilities(name):
    policy, count = policies.get(name), 3000
    found = draws(policy, count)
    share, probability = policy.probabilities()
    for layer in range(policy.op.shape[1]):
        wanted = np.zeros(len(policy.names))
        np.add.at(wanted, policy.op[:, layer], share[:, None] * probability[:, layer])
        seen = np.asarray([sum(one[layer].name == name for one in found) for name in policy.names])
        assert (seen[wanted == 0] == 0).all()
        often = wanted * count > 5
        seen, wanted = seen[often], wanted[often]
        assert chisquare(seen, wanted / wanted.sum() * seen.sum()).pvalue > 1e-4


@pytest.mark.parametrize("noise", [("uniform",), ("normal",), ("uniform", "sign"), ("normal", "sign"), ()])
def test_values_are_distributed_as_under_jax(noise):
    policy = policies.make_policy(ROTATE, {"Rotate": (3.0, 30.0)}, signed=("Rotate",), noise=noise)
    under_jax = np.asarray(sample(jax.random.key(0), policy, jnp.arange(2000)).value).ravel()
    assert ks_2samp([one[0].value for one in draws(policy, 2000)], under_jax).pvalue > 1e-4


def test_one_policy_for_each_row():
    shared = policies.make_policy([[[("Rotate", 0.5, 0.5), ("Identity", 0, 0.5)]]], {"Rotate": (0.0, 30.0)})
    own = shared.replace(
        mix=np.zeros((2, 1)),
        logits=np.asarray([[0.0, -50.0], [-50.0, 0.0]]).reshape(2, 1, 1, 2),
        level=np.asarray([0.1, 0.2]).repeat(2).reshape(2, 1, 1, 2),
    )
    assert {(one[0].name, round(one[0].value, 9)) for one in draws(own, 20, row=0)} == {("Rotate", 3.0)}
    assert {one[0].name for one in draws(own, 20, row=1)} == {"Identity"}
    with pytest.raises(UsageError, match="a row is needed"):
        draws(own, 1)
    with pytest.raises(UsageError, match="a row is needed"):
        draws(shared, 1, row=0)
    with pytest.raises(UsageError, match=r"jax\.device_get"):
        draws(shared.replace(level=jnp.asarray(shared.level)), 1)


def test_an_image_and_what_is_visible():
    policy = policies.make_policy([[[("TranslateXAbs", 1.0, 1.0)]]], {"TranslateXAbs": (0.0, 3.0)})
    image = np.random.default_rng(0).integers(1, 256, (8, 12, 3)).astype(np.uint8)
    found, visible = policies.apply_numpy(policy, np.random.default_rng(0), image)
    np.testing.assert_array_equal(found[:, :-3], image[:, 3:])
    assert not found[:, -3:].any()
    assert visible == pytest.approx(9 / 12)


def test_the_face():
    """`dir` shows the public names and no others; presets are listed by pattern; one line stands for a policy."""
    assert set(dir(policies)) == set(policies.__all__)
    assert policies.list("autodo*") == ["autodo_color", "autodo_rand"]
    assert "randaugment" in policies.list()
    assert policies.get("randaugment", num_layers=3).op.shape == (1, 3, 14)
    assert repr(policies.deepaa("cifar_1")).startswith("Policy(1 sub-policy, 6 layers, 139 branches; 18 ops: Identity,")
    rows = policies.make_policy(ROTATE)
    rows = rows.replace(mix=np.zeros((5, 1)), logits=np.zeros((5, 1, 1, 1)), level=np.zeros((5, 1, 1, 1)))
    assert repr(rows) == "Policy(5 rows of 1 sub-policy, 1 layer, 1 branch; 2 ops: Identity, Rotate)"
    assert repr(jax.tree.map(lambda _: None, rows)) == "Policy(op=None)"
