"""An update of DeepAA's search against that of the released code, on its own images and network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from helpers import settings, wide_resnet_tf

from jaxaug import losses
from jaxaug.core.types import Batch, ModelOutput, Progress, TrainState
from jaxaug.data.dataset import Split
from jaxaug.policies import search_space
from jaxaug.search.deepaa.gradients import BranchGradients
from jaxaug.search.deepaa.state import Options, begin
from jaxaug.search.deepaa.update import ItemIndices, make_updates

GOLDEN = np.load(settings.GOLDEN / "deepaa_search_step.npz")
ITEMS, COPIES, BRANCHES = 2, 2, 139
ONE_DEVICE = jax.make_mesh((1,), ("data",), devices=jax.devices()[:1], axis_types=(jax.sharding.AxisType.Auto,))
STAGES = {"stage1": ("images_aug",), "stage2": ("images_aug_s", "images_aug_k")}
SPACE = search_space.make_search_space((32, 32, 3))


class Given:
    """In place of a policy's images those of the golden file, which an item carries: [S + branches * copies H W C]."""

    space = SPACE

    def sampled(self, key, policy, item, count):
        if count == BRANCHES:
            return alike(item.image[:BRANCHES], item.label, item.index), None
        # On their way to `every`.
        return alike(jnp.broadcast_to(item.image, (count, *item.image.shape)), item.label, item.index), None

    def every(self, key, batch, level):
        return alike(
            batch.image[0, -BRANCHES * (COPIES if batch.image.shape[1] > BRANCHES else 1) :], batch.label[0], 0
        )


def alike(images, label, index):
    return Batch(images, jnp.full(len(images), label), jnp.full(len(images), index))


def images_of(stage, item):
    """What an item carries: samples of the policy and candidates, branch by branch."""
    found = {key: GOLDEN[f"{stage}/item{item}/{key}"] for key in STAGES[stage]}
    return np.concatenate([x if x.ndim == 4 else x.swapaxes(0, 1).reshape(-1, *x.shape[2:]) for x in found.values()])


def inputs(params, net, batch):
    flat = {**net.model_state, **{"/".join(path): x for path, x in flatten_dict(params).items()}}
    said = wide_resnet_tf.logits(flat, batch.image)
    out = ModelOutput(jnp.zeros((len(said), 1)), said, jnp.zeros((1, 10)), jnp.zeros(10))
    return losses.cross_entropy_inputs(out, batch, {}, Progress(jnp.zeros(()), jnp.zeros(())))


def nested(flat):
    return unflatten_dict({tuple(key.split("/")): x for key, x in flat.items()})


@pytest.fixture(scope="module")
def net():
    params = wide_resnet_tf.params_of(GOLDEN)
    zero = jnp.zeros((), jnp.int32)
    return TrainState(zero, nested(wide_resnet_tf.trainable(params)), params, (), (), (), (), jax.random.key(0))


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_an_update_is_that_of_the_released_code(stage, net):
    options = Options(num_layers=2, updates=1, images=ITEMS, copies=COPIES, factor=1, chunk=COPIES)
    pieces = BranchGradients(inputs, inputs, Given(), (), COPIES, 1)
    made = make_updates(pieces, options, None, True, ONE_DEVICE)
    layer = 0 if stage == "stage1" else 1
    state = begin(jax.random.key(0), options, SPACE)
    np.testing.assert_allclose(state.logits[layer], GOLDEN[f"{stage}/logits_before"], atol=2e-6)
    label = np.array([GOLDEN[f"{stage}/item{i}/labels_aug" + ("_s" if layer else "")][0] for i in range(ITEMS)])
    images = np.stack([images_of(stage, i) for i in range(ITEMS)])
    source = Split(images, label.astype(np.int32), np.arange(ITEMS, dtype=np.int32))
    validation = np.concatenate([GOLDEN[f"{stage}/item{i}/images_val"] for i in range(ITEMS)])
    trusted = Split(validation, np.repeat(label, 64).astype(np.int32), np.arange(len(validation), dtype=np.int32))
    chosen = ItemIndices(np.arange(ITEMS), np.arange(len(validation)).reshape(ITEMS, 64))
    update = made["later" if layer else "first"]
    after, cosine, importance = update(
        state, jnp.asarray(layer), net, *jax.tree.map(jnp.asarray, (source, trusted, chosen))
    )
    expected = np.mean([GOLDEN[f"{stage}/item{i}/cos_sim"] for i in range(ITEMS)])
    np.testing.assert_allclose(cosine, expected, atol=1e-5)
    for i in range(ITEMS):
        wanted = GOLDEN[f"{stage}/item{i}/grad_importance"].reshape(-1, BRANCHES).mean(axis=0)
        np.testing.assert_allclose(importance.probability[i], wanted, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_allclose(after.logits[layer], GOLDEN[f"{stage}/logits_after"], atol=1e-5)
    np.testing.assert_array_equal(after.logits[1 - layer], state.logits[1 - layer])
