"""Parts of a network with rates of their own: what is frozen, what is slower, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import models, optim
from jaxaug.core.errors import UsageError

PARAMS = {
    "Conv_0": {"kernel": jnp.ones((2, 3))},
    "stage1_block1": {"BatchNorm_0": {"scale": jnp.full(3, 2.0)}, "Conv_0": {"kernel": jnp.ones((3, 3))}},
    "stage2_block1": {"Conv_0": {"kernel": jnp.ones((3, 3))}},
    "head": {"kernel": jnp.ones((3, 4)), "bias": jnp.zeros(4)},
}
GRADS = jax.tree.map(lambda x: jnp.full_like(x, 3.0), PARAMS)
ALONE = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}


def update(grads=GRADS, params=PARAMS, **options):
    options = {"schedule": "constant", "learning_rate": 0.1, **ALONE, **options}
    tx, _ = optim.create("sgd", steps_per_epoch=1, epochs=1, **options)
    state = tx.init(params)
    return tx.update(grads, state, params)


def of(tree, path):
    return float(models.get_subtree(tree, tuple(path.split("/"))).ravel()[0])


def test_the_first_pattern_counts():
    rates = (("head/bias", 2.0), ("head", 1.0), ("stage1*", 0.5), ("*", 0.1))
    found, _ = update(rates=rates)
    expected = {"head/bias": 2, "head/kernel": 1, "stage1_block1/Conv_0/kernel": 0.5, "Conv_0/kernel": 0.1}
    for path, factor in expected.items():
        assert of(found, path) == pytest.approx(-0.3 * factor)
    assert of(update(rates=(("stage2_block1", 0.5),))[0], "Conv_0/kernel") == pytest.approx(-0.3)


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.5}, {"momentum": 0.9}])
def test_what_is_frozen_stays(options):
    """Weight decay included; there is no momentum for it either."""
    found, state = update(rates=(("head", 1.0), ("*", 0.0)), **options)
    for path in ("Conv_0/kernel", "stage1_block1/BatchNorm_0/scale", "stage2_block1/Conv_0/kernel"):
        assert of(found, path) == 0
    assert of(found, "head/kernel") < 0
    sizes = {leaf.size for leaf in jax.tree.leaves(state) if leaf.ndim}
    assert sizes <= {12, 4}


def test_clipping_sees_what_is_trained():
    found, _ = update(rates=(("head", 1.0), ("*", 0.0)), clip=1.0)
    assert np.linalg.norm(jax.tree.leaves(found["head"])[1]) <= 0.1
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(found)))
    assert norm == pytest.approx(0.1, rel=1e-5)


def test_adamw_decays_by_the_slower_rate():
    tx, _ = optim.create(
        "adamw", steps_per_epoch=1, epochs=1, schedule="constant", weight_decay=0.5, rates=(("head", 0.25),)
    )
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    found, _ = tx.update(zeros, tx.init(PARAMS), PARAMS)
    assert of(found, "Conv_0/kernel") == pytest.approx(-0.1 * 0.5)
    assert of(found, "head/kernel") == pytest.approx(-0.1 * 0.5 * 0.25)


def test_layer_decay():
    """0.5 for each stage between a layer and the head; with a factor of one's own besides."""
    found, _ = update(layer_decay=0.5, rates=(("Conv_0", 2.0),))
    for path, factor in {
        "head/kernel": 1,
        "stage2_block1/Conv_0/kernel": 0.5,
        "stage1_block1/BatchNorm_0/scale": 0.25,
        "Conv_0/kernel": 2 * 0.125,
    }.items():
        assert of(found, path) == pytest.approx(-0.3 * factor)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vit_s_16", {"class_token": 13, "block1/mlp_norm/bias": 12, "block12/mlp_norm/bias": 1, "last_norm/scale": 0}),
        ("convnext_tiny", {"stem/kernel": 5, "stage1_block3/norm/bias": 4, "downsample1/kernel": 3, "head/bias": 0}),
        ("resnet18", {"Conv_0/kernel": 5, "BatchNorm_0/scale": 5, "stage1_block1/Conv_0/kernel": 4, "head/bias": 0}),
        ("densenet121", {"block1_layer6/Conv_0/kernel": 4, "transition3/Conv_0/kernel": 2, "BatchNorm_1/scale": 0}),
        ("efficientnet_b0", {"stem_norm/scale": 8, "stage7_block1/expand/kernel": 1, "last/kernel": 0}),
    ],
)
def test_depth_of_the_published_networks(name, expected):
    model = models.create(name, num_classes=3)
    shapes = jax.eval_shape(lambda key: models.init_model(model, key, (32, 32, 3))[0], jax.random.key(0))
    paths = ["/".join(str(one.key) for one in key) for key, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    found = optim.layer_rates(paths, 0.5)
    assert {path: found[path] for path in expected} == {path: 0.5**power for path, power in expected.items()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rates": (("haed", 0.1),)}, "'haed' matches nothing; the network's parts are Conv_0, head, stage1_block1"),
        ({"rates": (("*", 0.0),)}, "everything is frozen"),
        ({"rates": (("head", -1.0),)}, "a number of at least 0"),
        ({"rates": ("head",)}, "pairs of a pattern and a number"),
        ({"layer_decay": 0.0}, "above 0 and at most 1"),
        ({"layer_decay": 0.5, "params": {"Dense_0": {"kernel": jnp.ones(2)}}}, "needs a network with stages or blocks"),
    ],
)
def test_refused(options, message):
    with pytest.raises(UsageError, match=message):
        update(**options)
