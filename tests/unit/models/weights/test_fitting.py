"""Weights of one network as another takes them: whole, without the head, for images of another size."""

import jax
import numpy as np
import pytest

from jaxaug import models
from jaxaug.core.errors import UsageError
from jaxaug.models import weights

TREE = {"Conv_0": {"kernel": np.ones((3, 3, 1, 4))}, "head": {"kernel": np.full((4, 10), 2.0), "bias": np.zeros(10)}}
STATE = {"BatchNorm_0": {"mean": np.ones(4)}}


def of_classes(count):
    return {**TREE, "head": {"kernel": np.zeros((4, count)), "bias": np.zeros(count)}}


@pytest.mark.parametrize(
    ("expected", "head", "told"),
    [
        (TREE, "auto", "4 arrays"),
        (TREE, "keep", "4 arrays"),
        (TREE, "new", "2 arrays; the head begins anew (10 classes, 10 classes here)"),
        (of_classes(3), "auto", "2 arrays; the head begins anew (10 classes, 3 classes here)"),
    ],
)
def test_head(expected, head, told):
    found = weights.fit(TREE, STATE, (expected, STATE), head=head)
    assert found.told == told
    assert ("head" in found.params) == ("anew" not in told)
    np.testing.assert_array_equal(found.params["Conv_0"]["kernel"], TREE["Conv_0"]["kernel"])
    assert {leaf.dtype for leaf in jax.tree.leaves(found[:2])} == {np.dtype(np.float32)}


def test_a_backbone_takes_a_classifier():
    expected = {"backbone": {"Conv_0": TREE["Conv_0"]}, "Conv_0": {"kernel": np.ones(5)}, "head": of_classes(3)["head"]}
    found = weights.fit(TREE, STATE, (expected, {"backbone": STATE}))
    assert found.told == "2 arrays of a classifier for the backbone; the rest begins anew"
    assert set(found.params) == set(found.model_state) == {"backbone"}
    np.testing.assert_array_equal(found.params["backbone"]["Conv_0"]["kernel"], TREE["Conv_0"]["kernel"])
    expected["backbone"] = {"Conv_0": {"kernel": np.ones((7, 7, 1, 4))}}
    with pytest.raises(UsageError, match=r"of another shape: params/backbone/Conv_0/kernel \[3, 3, 1, 4\] instead of"):
        weights.fit(TREE, STATE, (expected, {"backbone": STATE}))
    with pytest.raises(UsageError, match=r"missing: .*params/backbone/Conv_0/kernel"):
        weights.fit(TREE, STATE, (expected, {"backbone": STATE}), head="keep")


def test_a_head_of_other_classes_that_is_kept():
    with pytest.raises(UsageError, match=r"of another shape: params/head/bias \[10\] instead of \[3\].*head=new$"):
        weights.fit(TREE, STATE, (of_classes(3), STATE), head="keep")


def test_a_file_without_a_head():
    backbone = {"Conv_0": TREE["Conv_0"]}
    assert "none there" in weights.fit(backbone, STATE, (TREE, STATE)).told
    with pytest.raises(UsageError, match=r"missing: params/head/bias \[10\], params/head/kernel \[4, 10\]$"):
        weights.fit(backbone, STATE, (TREE, STATE), head="keep")


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({**TREE, "Conv_1": {"kernel": np.ones((1, 2))}}, r"missing: params/Conv_1/kernel \[1, 2\]$"),
        ({"head": TREE["head"]}, r"left over: params/Conv_0/kernel \[3, 3, 1, 4\]$"),
        (
            {**TREE, "Conv_0": {"kernel": np.ones((5, 5, 1, 4))}},
            r"of another shape: params/Conv_0/kernel \[3, 3, 1, 4\] instead of \[5, 5, 1, 4\]$",
        ),
    ],
)
def test_what_does_not_fit_is_named(expected, message):
    with pytest.raises(UsageError, match=message):
        weights.fit(TREE, STATE, (expected, STATE))


def test_positions_of_other_images():
    """The class token's stays; a plane stays a plane inside, whose mean averages what was there."""
    model = models.create("vit", num_classes=2, depth=1, width=4, num_heads=1, patch_size=2)

    def shapes(side):
        return jax.eval_shape(lambda key: models.init_model(model, key, (side, side, 3)), jax.random.key(0))

    params, state = jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes(16))
    plane = np.arange(8)[:, None, None] + 10.0 * np.arange(8)[None, :, None] + np.zeros(4)
    params["position_embedding"] = np.concatenate([np.full((1, 1, 4), 7.0), plane.reshape(1, 64, 4)], axis=1)
    for side, shape in ((8, 4), (24, 12)):
        found = weights.fit(params, state, shapes(side))
        assert found.told.endswith("the position embedding was resized")
        position = found.params["position_embedding"]
        np.testing.assert_array_equal(position[0, 0], 7.0)
        grid = position[0, 1:, 0].reshape(shape, shape)
        middle = (np.arange(shape) + 0.5) * 8 / shape - 0.5
        np.testing.assert_allclose(
            (grid - middle[:, None] - 10 * middle[None])[shape // 3 : -shape // 3, shape // 3 : -shape // 3],
            0,
            atol=0.5,
        )
    params["position_embedding"] = np.zeros((1, 60, 4))
    with pytest.raises(UsageError, match="60 and 17 tokens are not those of square images"):
        weights.fit(params, state, shapes(8))
