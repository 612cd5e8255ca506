"""The search step on real digits: its gradient against the same derivative without stages, parts or gathers."""

import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import tiny_config

from jaxaug import job, losses, models, steps
from jaxaug.augment import pipeline
from jaxaug.augment.policies import make
from jaxaug.objective import make_stages, progress_of
from jaxaug.search import directions, implicit, rows
from jaxaug.types import Batch, Hyper

# Plain descent at rate 1, so that a step shows its gradient.
SHOWING = rows.Rule(0, lambda v, m, missed, now: (v, m), lambda v, m, g, now: (jax.tree.map(jnp.subtract, v, g), m))
DAMPING = 0.1


def config_of(chain, train=(), validation=97, **changes):
    config = tiny_config()
    config.loss.chain, config.augment.train = chain, train
    config.data.update(validation_size=validation, noise=0.3)
    config.augment.policy.update(preset="affine", exact=False, border="edge", learned="per_row")
    config.augment.soft_crop.update(sigma=0.2, relative=True, fill="zero")
    config.search.update(name="autodo", batch_size=16, validation_batch_size=16, start=0)
    config.model = {"name": "convnet", "kw": {"widths": (4, 8), "dropout_rate": 0.0}}
    for path, value in changes.items():
        place = config
        *above, last = path.split("__")
        for word in above:
            place = place[word]
        place[last] = value
    return config


class Case:
    """A config's parts, a state whose hyper is not at its start, a batch of training rows and one of trusted rows."""

    def __init__(self, config, part):
        self.job, self.part = job.prepare(config), part
        data, counts = self.job.data, {"steps_per_epoch": self.job.steps_per_epoch, "epochs": config.epochs}
        self.model, self.chain = models.build(config.model, data.num_classes), losses.build(config.loss)
        self.augment, _ = pipeline.build(config.augment, data.mean, data.std)
        self.stages = make_stages(self.model, self.augment, self.chain, part, **counts)
        state = jax.jit(self.job.init)(jax.random.key(0))
        random = np.random.default_rng(0)
        elsewhere = jax.tree.map(lambda x: x + jnp.asarray(0.3 * random.normal(size=x.shape), x.dtype), state.hyper)
        moments = tuple({} for _ in range(0))
        # Half way through the training: the strength of ISDA grows with it.
        self.state = state.replace(
            hyper=elsewhere,
            search=state.search.replace(moments=moments),
            step=jnp.asarray(self.job.steps_per_epoch // 2),
        )
        self.batch, self.trusted = (
            steps.of_rows(jax.tree.map(jnp.asarray, split), jnp.asarray(random.choice(len(split), 16, replace=False)))
            for split in (data.train, data.validation)
        )

    def by_step(self, direction, fisher):
        """(gradient of own [16 ...], of shared), as `make_search_step` has it."""
        tx = optax.sgd(1.0)
        step = steps.make_search_step(self.stages, SHOWING, tx, direction, part=self.part, fisher=fisher)
        state = self.state.replace(search=self.state.search.replace(shared=tx.init(self.state.hyper.shared)))
        after, totals = jax.jit(step)(state, self.batch, self.trusted)
        at = jnp.searchsorted(state.search.ids, self.batch.index) if state.search.ids is not None else None
        gone = jax.tree.map(jnp.subtract, state.hyper, after.hyper)
        others = jax.tree.map(lambda x: x if at is None else x.at[at].set(0), gone.own)
        assert all(not np.any(x) for x in jax.tree.leaves(others)), "rows outside of the batch changed"
        return jax.tree.map(lambda x: x[at], gone.own), gone.shared, totals

    def by_hand(self, direction, fisher):
        """The same, the whole pipeline differentiated at once in everything."""
        return jax.jit(lambda state: self._by_hand(state, direction, fisher))(self.state)

    def _by_hand(self, state, direction, fisher):
        key = jax.random.fold_in(jax.random.fold_in(state.key, steps.OF_SEARCH), state.search.step)
        progress = progress_of(state.step, self.job.steps_per_epoch, self.job.config.epochs)

        def terms(part, hyper):
            batch = self.augment(self.batch.replace(own=hyper.own), hyper.shared, key, progress, train=True)
            params = models.with_part(state.params, self.part, part)
            out, _ = models.apply(self.model, params, state.stats, batch.image, train=False)
            return self.chain.apply(state.loss, losses.begin(out, batch, hyper.shared, progress))[1]

        def trust(part):
            batch = self.augment(self.trusted, {}, None, None, train=False)
            params = models.with_part(state.params, self.part, part)
            out, _ = models.apply(self.model, params, state.stats, batch.image, train=False)
            return losses.reduce(losses.begin(out, batch, {}, progress))

        def train(part, hyper):
            return losses.reduce(terms(part, hyper))

        hyper = rows.look(None, state.hyper, state.search, self.batch.index)[0]
        part, curvature = models.part_of(state.params, self.part), None
        if fisher:
            now = terms(part, hyper)
            added = now.logits - now.out.logits
            curvature = implicit.softmax_fisher(lambda p: terms(p, hyper).out.logits + added, now.weight, 16)
        gradient, _ = implicit.hypergradient(train, trust, part, hyper, direction, curvature)
        return gradient.own, gradient.shared


FOLDER = pathlib.Path(tempfile.mkdtemp())
MOVES, ANY = str(FOLDER / "moves.json"), str(FOLDER / "any.json")
make([[[(op, 0.6, 0.5), ("Identity", 0.0, 0.5)] for op in ("Rotate", "ScaleX")]], noise=("normal",)).save(MOVES)
make([[[("Brightness", 0.3, 0.5), ("Rotate", 0.6, 0.3), ("Identity", 0.0, 0.2)]]], noise=("uniform",)).save(ANY)
BOTH = ("targets.learned_targets", "weights.learned_weights")
POLICY, CROP, HEAD = ("policy.policy",), ("soft_crop.soft_crop",), ("head",)
LINEAR = {"name": "linear", "kw": {}}
CASES = {
    # name: (loss chain, augmentation, part, further changes)
    "own weights, soft labels, policies": (BOTH, POLICY, HEAD, {"augment__policy__file": MOVES}),
    "all parameters": (BOTH, (), (), {"loss__divergence__symmetric": True}),
    "low rank": (
        ("targets.learned_targets", "targets.divergence"),
        (),
        ("head", "kernel"),
        {"loss__learned_targets__rank": 3, "model": LINEAR},
    ),
    "softening": (("targets.soften",), CROP, HEAD, {"loss__soften__learned": True, "model": LINEAR}),
    "strength of ISDA": (("isda.isda",), (), HEAD, {"loss__isda__learned": True}),
    "any policy": ((), POLICY, HEAD, {"augment__policy__learned": "shared", "augment__policy__file": ANY}),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient(name):
    chain, train, part, changes = CASES[name]
    case = Case(config_of(chain, train, **changes), part)
    direction, fisher = directions.conjugate_gradient(steps=2, damping=DAMPING), part != ("head", "kernel")
    own, shared, totals = case.by_step(direction, fisher)
    found, expected = (own, shared), case.by_hand(direction, fisher)
    assert jax.tree.leaves(found)
    for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected), strict=True):
        scale = np.abs(other).max()
        assert scale > 0 or "policy" in jax.tree_util.keystr(path), path
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-3 * scale + 1e-9, err_msg=jax.tree_util.keystr(path))
    assert float(totals.sums["search_loss"][0]) > 0


def test_last_layer_in_closed_form():
    """A weight's gradient is the product of the row's last-layer gradient with the direction, times its derivative."""
    case = Case(config_of(("weights.learned_weights",), loss__learned_weights__normalise="none"), ("head", "kernel"))
    own, _, _ = case.by_step(directions.identity(), False)
    state = case.state

    def outputs(batch):
        image = case.augment(batch, {}, None, None, train=False).image
        return models.apply(case.model, state.params, state.stats, image, train=False)[0]

    def slope(out, label):
        return jax.nn.softmax(out.logits) - jax.nn.one_hot(label, 10)

    out, trusted = outputs(case.batch), outputs(case.trusted)
    v = -trusted.features.T @ slope(trusted, case.trusted.label) / 16
    per_row = jnp.einsum("bd,dk,bk->b", out.features, v, slope(out, case.batch.label)) / 16
    raw = rows.look(None, state.hyper, state.search, case.batch.index)[0].own["weight"]
    np.testing.assert_allclose(own["weight"], per_row * jax.nn.sigmoid(raw) / np.log(2), rtol=1e-4, atol=1e-8)


def test_hyper_has_the_views_of_its_rows():
    """Two views of a batch share their rows' numbers, and both contribute to the gradient."""
    config = config_of(BOTH)
    config.augment.views = 2
    own, _, _ = Case(config, ("head",)).by_step(directions.identity(), True)
    once, _, _ = Case(config_of(BOTH), ("head",)).by_step(directions.identity(), True)
    np.testing.assert_allclose(own["soft"], once["soft"], rtol=1e-4, atol=1e-7)


def test_batch_is_a_record_of_arrays():
    assert Batch(None, None, None).own is None
    assert jax.tree.leaves(Hyper()) == []
