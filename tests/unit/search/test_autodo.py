"""The search step on real digits: its gradient against the same derivative without stages, parts or gathers."""

import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.settings import tiny_config

from jaxaug import losses, models
from jaxaug.augment.compose import build_pipeline
from jaxaug.bilevel import ihvp
from jaxaug.bilevel.hypergradient import hypergradient, softmax_fisher
from jaxaug.bilevel.per_example import SparseRule, gather_rows
from jaxaug.core.random import DeviceStream
from jaxaug.core.registry import instantiate
from jaxaug.core.types import Batch, MetaParams
from jaxaug.models.api import apply_model, get_subtree, replace_subtree
from jaxaug.policies.policy import make_policy
from jaxaug.search.autodo import THROUGH, make_search_step
from jaxaug.tasks import Classification
from jaxaug.train.experiment import build_experiment
from jaxaug.train.objective import Parts, make_bilevel_problem
from jaxaug.train.step import batch_of

# Plain descent at rate 1, so that a step shows its gradient.
SHOWING = SparseRule(0, lambda v, m, missed, now: (v, m), lambda v, m, g, now: (jax.tree.map(jnp.subtract, v, g), m))
DAMPING = 0.1


def config_of(chain, train=(), validation=97, **changes):
    config = tiny_config(loss=chain)
    config.augment.train = train
    config.data.update(validation_size=validation, noise=0.3)
    config.search = {"name": "autodo", "batch_size": 16, "validation_batch_size": 16, "start": 0}
    config.model = {"name": "convnet", "widths": (4, 8), "dropout_rate": 0.0}
    for name, value in changes.items():
        config[name] = value
    return config


class Case:
    """A config's parts, a state whose meta is not at its start, a batch of training rows and one of trusted rows."""

    def __init__(self, config, part):
        self.experiment, self.part = build_experiment(config), part
        config, data = self.experiment.config, self.experiment.data
        self.model = models.create(**config.model.to_dict(), num_classes=data.num_classes)
        self.chain = losses.create(config.loss)
        train = [instantiate("augment", slot) for slot in config.augment.train]
        self.augment, _ = build_pipeline(train, mean=data.mean, std=data.std, views=config.augment.views)
        counts = {"steps_per_epoch": self.experiment.steps_per_epoch, "epochs": config.epochs}
        self.parts = Parts(Classification(), self.model, self.augment, self.chain, **counts)
        self.problem = make_bilevel_problem(self.parts, part)
        state = jax.jit(self.experiment.init)(jax.random.key(0))
        random = np.random.default_rng(0)
        elsewhere = jax.tree.map(lambda x: x + jnp.asarray(0.3 * random.normal(size=x.shape), x.dtype), state.meta)
        # Half way through the training: the strength of ISDA grows with it.
        self.state = state.replace(
            meta=elsewhere,
            search_state=state.search_state.replace(moments=()),
            step=jnp.asarray(self.experiment.steps_per_epoch // 2),
        )
        self.batch, self.trusted = (
            batch_of(jax.tree.map(jnp.asarray, split), jnp.asarray(random.choice(len(split), 16, replace=False)))
            for split in (data.train, data.validation)
        )

    def by_step(self, solver, fisher, through="parameters"):
        """(gradient of own [16 ...], of shared), as `make_search_step` has it."""
        tx = optax.sgd(1.0)
        step = make_search_step(THROUGH[through](self.problem), SHOWING, tx, solver, fisher=fisher)
        state = self.state.replace(search_state=self.state.search_state.replace(shared=tx.init(self.state.meta.shared)))
        after, totals = jax.jit(step)(state, self.batch, self.trusted)
        ids = state.search_state.ids
        at = None if ids is None else jnp.searchsorted(ids, self.batch.index)
        gone = jax.tree.map(jnp.subtract, state.meta, after.meta)
        others = jax.tree.map(lambda x: x if at is None else x.at[at].set(0), gone.per_example)
        assert all(not np.any(x) for x in jax.tree.leaves(others)), "rows outside of the batch changed"
        return jax.tree.map(lambda x: x[at], gone.per_example), gone.shared, totals

    def by_hand(self, solver, fisher):
        """The same, the whole pipeline differentiated at once in everything."""
        return jax.jit(lambda state: self._by_hand(state, solver, fisher))(self.state)

    def _by_hand(self, state, solver, fisher):
        key = jax.random.fold_in(jax.random.fold_in(state.key, DeviceStream.SEARCH), state.search_state.step)
        progress = self.parts.progress(state.step)

        def inputs(part, meta):
            batch = self.augment(
                self.batch.replace(per_example=meta.per_example), meta.shared, key, progress, train=True
            )
            params = replace_subtree(state.params, self.part, part)
            out, _ = apply_model(self.model, params, state.model_state, batch.image, train=False)
            return self.chain.apply(state.loss_state, losses.cross_entropy_inputs(out, batch, meta.shared, progress))[1]

        def trust(part):
            batch = self.augment(self.trusted, {}, None, None, train=False)
            params = replace_subtree(state.params, self.part, part)
            out, _ = apply_model(self.model, params, state.model_state, batch.image, train=False)
            return losses.mean_loss(losses.cross_entropy_inputs(out, batch, {}, progress))

        def train(part, meta):
            return losses.mean_loss(inputs(part, meta))

        meta = gather_rows(None, state.meta, state.search_state, self.batch.index)[0]
        part, curvature = get_subtree(state.params, self.part), None
        if fisher:
            now = inputs(part, meta)
            added = now.logits - now.output.logits
            curvature = softmax_fisher(lambda p: inputs(p, meta).output.logits + added, now.weight, 16)
        gradient, _ = hypergradient(train, trust, part, meta, solver, curvature)
        return gradient.per_example, gradient.shared


FOLDER = pathlib.Path(tempfile.mkdtemp())
MOVES, ANY = str(FOLDER / "moves.json"), str(FOLDER / "any.json")
make_policy([[[(op, 0.6, 0.5), ("Identity", 0.0, 0.5)] for op in ("Rotate", "ScaleX")]], noise=("normal",)).save(MOVES)
make_policy([[[("Brightness", 0.3, 0.5), ("Rotate", 0.6, 0.3), ("Identity", 0.0, 0.2)]]], noise=("uniform",)).save(ANY)
BOTH = ("learned_targets", "learned_weights")
POLICY = {"name": "policy", "preset": "affine", "exact": False, "border": "edge"}
CROP, HEAD = ({"name": "soft_crop", "sigma": 0.2, "relative": True, "fill": "zero"},), ("head",)
ISDA = {"name": "isda", "strength": 0.5, "covariance": "full", "schedule": "step", "learned": True}
LINEAR = {"model": {"name": "linear"}}
CASES = {
    # name: (loss chain, augmentation, part, further changes)
    "own weights, soft labels, policies": (BOTH, ({**POLICY, "learned": "per_row", "file": MOVES},), HEAD, {}),
    "all parameters": (BOTH, (), (), {}),
    "low rank": (({"name": "learned_targets", "rank": 3}, "kl_divergence"), (), ("head", "kernel"), LINEAR),
    "softening": (({"name": "soft_targets", "learned": True},), CROP, HEAD, LINEAR),
    "strength of ISDA": ((ISDA,), (), HEAD, {}),
    "any policy": ((), ({**POLICY, "learned": "shared", "file": ANY},), HEAD, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient(name):
    chain, train, part, changes = CASES[name]
    case = Case(config_of(chain, train, **changes), part)
    solver, fisher = ihvp.conjugate_gradient(steps=2, damping=DAMPING), part != ("head", "kernel")
    own, shared, totals = case.by_step(solver, fisher)
    found, expected = (own, shared), case.by_hand(solver, fisher)
    assert jax.tree.leaves(found)
    for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected), strict=True):
        scale = np.abs(other).max()
        assert scale > 0 or "policy" in jax.tree_util.keystr(path), path
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-3 * scale + 1e-9, err_msg=jax.tree_util.keystr(path))
    assert float(totals.sums["search_loss"][0]) > 0


def last_layer(case):
    """Of the batch and of the trusted rows: (features, logits, derivative of cross-entropy by the logits)."""

    def of(batch):
        image = case.augment(batch, {}, None, None, train=False).image
        out, _ = apply_model(case.model, case.state.params, case.state.model_state, image, train=False)
        return out.features, out.logits, jax.nn.softmax(out.logits) - jax.nn.one_hot(batch.label, 10)

    return of(case.batch), of(case.trusted)


def raw_weights(case):
    state = case.state
    return gather_rows(None, state.meta, state.search_state, case.batch.index)[0].per_example["weight"]


def test_last_layer_in_closed_form():
    """A weight's gradient is the product of the row's last-layer gradient with the solver, times its derivative."""
    case = Case(config_of(({"name": "learned_weights", "normalize": "none"},)), ("head", "kernel"))
    own, _, _ = case.by_step(ihvp.identity(), False)
    (features, _, slope), (of_trusted, _, slope_of_trusted) = last_layer(case)
    v = -of_trusted.T @ slope_of_trusted / 16
    per_row = jnp.einsum("bd,dk,bk->b", features, v, slope) / 16
    np.testing.assert_allclose(
        own["weight"], per_row * jax.nn.sigmoid(raw_weights(case)) / np.log(2), rtol=1e-4, atol=1e-8
    )


def test_scale_of_the_head_in_closed_form():
    """Through one factor of the head: the trusted rows say how much surer the network should be, by the variance of the
    logits; a row is worth what its label says of that."""
    case = Case(config_of(({"name": "learned_weights", "normalize": "none"},)), ("head",))
    own, _, _ = case.by_step(ihvp.conjugate_gradient(steps=2, damping=DAMPING), True, "scale")
    (_, logits, slope), (_, of_trusted, slope_of_trusted) = last_layer(case)
    weight, p = jax.nn.softplus(raw_weights(case)) / np.log(2), jax.nn.softmax(logits)
    variance = jnp.sum(p * logits**2, axis=-1) - jnp.sum(p * logits, axis=-1) ** 2
    v = -jnp.sum(of_trusted * slope_of_trusted) / 16 / (jnp.mean(weight * variance) + DAMPING)
    per_row = v * jnp.sum(slope * logits, axis=-1) / 16
    np.testing.assert_allclose(
        own["weight"], per_row * jax.nn.sigmoid(raw_weights(case)) / np.log(2), rtol=1e-4, atol=1e-8
    )


def test_meta_has_the_views_of_its_rows():
    """Two views of a batch share their rows' numbers, and both contribute to the gradient."""
    config = config_of(BOTH)
    config.augment.views = 2
    own, _, _ = Case(config, ("head",)).by_step(ihvp.identity(), True)
    once, _, _ = Case(config_of(BOTH), ("head",)).by_step(ihvp.identity(), True)
    np.testing.assert_allclose(own["soft"], once["soft"], rtol=1e-4, atol=1e-7)


def test_batch_is_a_record_of_arrays():
    assert Batch(None, None, None).per_example is None
    assert jax.tree.leaves(MetaParams()) == []
