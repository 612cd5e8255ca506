"""DADA: its space, the derivative in the shares of sub-policies, a search from a config to a policy that trains."""

import functools
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.policy_offsets import noise, random_offsets
from helpers.settings import ROOT, tiny_config

from jaxaug import viz
from jaxaug.augment.policy_transform import execution_settings
from jaxaug.core.errors import UsageError
from jaxaug.ops.execute import execute
from jaxaug.ops.records import Sample
from jaxaug.ops.warp import visibility_after
from jaxaug.policies import presets
from jaxaug.policies.learnable import initial_offsets, learned_policy
from jaxaug.policies.policy import Policy, make_policy
from jaxaug.policies.sampling import sample_from
from jaxaug.search.base import SearchRun
from jaxaug.train import trainer
from jaxaug.train.experiment import build_experiment

OPS = ("Rotate", "Invert", "Brightness", "Solarize")


def pairs_of(ops, shares=None, chance=0.5, level=0.7):
    gates = [[(op, level, chance), ("Identity", 0.0, 1 - chance)] for op in ops]
    pairs = [list(pair) for pair in itertools.combinations(gates, 2)]
    return make_policy(pairs, shares=shares, signed=presets.GEOMETRIC, noise=("sign",), cover=(0.0,))


def test_space():
    """All pairs of the family, none preferred; every sub-policy that DADA published is one of them."""
    space = presets.get("dada_space")
    share, probability = space.probabilities()
    np.testing.assert_allclose(share, np.full(105, 1 / 105))
    np.testing.assert_allclose(probability, 0.5)
    assert (space.level[..., 0] == 0.5).all()
    pairs = {tuple(space.names[op] for op in layers) for layers in space.op[..., 0]}
    assert len(pairs) == 105
    published = json.loads((ROOT / "jaxaug" / "policies" / "published" / "dada.json").read_text())
    found = [sub for subs in published.values() if isinstance(subs, list) for sub in subs]
    assert len(found) == 100
    assert {(first[0], second[0]) for first, second in found} <= pairs


SHARES = np.array([4, 1, 1, 2, 2, 2]) / 12
IMAGES, SIDE = 8, 6  # each image meets every sub-policy as often as the shares say, with all other chances the same


@functools.lru_cache
def slopes():
    """(of two losses, linear in the image and not: d mean loss / d mix [2 S], losses [2 IMAGES 12]); sub [12]."""
    policy, rng = pairs_of(OPS, SHARES), np.random.default_rng(0)
    chance = jax.tree.map(lambda x: np.repeat(x, 12, axis=0), noise(2, IMAGES)._replace(normal=None))
    chance = chance._replace(sub=np.tile(np.float32((np.arange(12) + 0.5) / 12), IMAGES))
    image = np.repeat(rng.uniform(0, 255, (IMAGES, 1, SIDE, SIDE)).astype(np.float32), 12, axis=0)
    linear = np.repeat(rng.normal(size=image[::12].shape).astype(np.float32), 12, axis=0)
    model, settings = (
        rng.normal(size=(SIDE * SIDE, 5)).astype(np.float32) / 800,
        execution_settings(policy, False, "fused"),
    )
    rows = jnp.arange(len(image))

    def losses(own):
        drawn = sample_from(chance, learned_policy(policy, own), rows, relaxed=True)
        after = execute(settings, drawn, Sample(image)).image
        logits = after.reshape(len(image), -1) @ model
        each = jnp.stack([jnp.sum(after * linear, (1, 2, 3)), jax.nn.logsumexp(logits, 1) - logits[:, 0]])
        return each.mean(1), (each, visibility_after(settings, drawn, ("Rotate",), (1, SIDE, SIDE)))

    own = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(image), *x.shape)), initial_offsets(policy))
    slope, (each, visibility) = jax.jit(jax.jacrev(losses, has_aux=True))(own)
    assert visibility.shape == (len(image), SIDE, SIDE)
    return slope["mix"].sum(1), np.asarray(each).reshape(2, IMAGES, 12)


def exact(each):
    """d sum_s p_s loss_s / d mix = p_s (loss_s - mean loss), from the losses [IMAGES 12] of every sub-policy."""
    sub = np.repeat(np.arange(6), np.round(12 * SHARES).astype(int))
    mean = np.array([each[:, sub == s].mean() for s in range(6)])
    return SHARES * (mean - SHARES @ mean)


def test_the_derivative_in_the_shares():
    """Exact where the loss is linear in the image, though operations in a row do more than each alone."""
    slope, each = slopes()
    wanted = exact(each[0])
    assert np.abs(wanted).max() > 10
    np.testing.assert_allclose(slope[0], wanted, atol=1e-3 * np.abs(wanted).max())


def test_the_derivative_in_the_shares_of_a_bent_loss():
    """The loss along its slope: where logits move by one or two, near the exact derivative and alike in size."""
    slope, each = slopes()
    wanted = exact(each[1])
    assert np.corrcoef(slope[1], wanted)[0, 1] > 0.8
    assert 0.5 < np.linalg.norm(slope[1]) / np.linalg.norm(wanted) < 2


def test_offsets_and_figures():
    """Policies of one sub-policy have no offsets of shares; those of several count in the figure."""
    assert set(initial_offsets(presets.affine())) == {"logits", "level"}
    policy = pairs_of(OPS)
    offsets = {**initial_offsets(policy), "mix": jnp.log(jnp.asarray([5.0, 1, 1, 1, 1, 1]))}
    np.testing.assert_allclose(learned_policy(policy, offsets).probabilities()[0], [0.5, *[0.1] * 5], rtol=1e-6)
    names, times, _ = viz.op_usage(learned_policy(policy, offsets))
    found = dict(zip(names, times, strict=True))
    assert found["Rotate"] == pytest.approx(0.5 * (0.5 + 0.1 + 0.1))
    own = {name: np.asarray(x) for name, x in random_offsets(policy, 3).items()}
    viz.policy_usage(policy, own, np.array([0, 1, 1]), ("a", "b"))


def config_of(file, **search):
    """A linear model on 96 digits: three steps, each with one of the search before it."""
    config = tiny_config(batch_size=32, loss=())
    config.data.update(validation_size=64, train_size=96)
    config.model = {"name": "linear"}
    config.augment.train = (policy_of(file, exact=False, learned="shared"),)
    config.search = {"name": "dada", "start": 0, "every": 1, "batch_size": 32, "validation_batch_size": 32}
    config.search.optim = {"name": "adam", "learning_rate": 0.05, "b1": 0.5}
    config.search.update(search)
    return config


def policy_of(file, **options):
    return {"name": "policy", "file": str(file), **options}


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    file = tmp_path_factory.mktemp("space") / "space.json"
    pairs_of(("Brightness", "Invert", "Brightness")).save(file)
    return file


def test_from_a_config_to_a_policy_that_trains(space, tmp_path):
    """Shares, probabilities and levels have moved; what the run leaves is drawn exactly by the next one."""
    config = config_of(space)
    trainer.train_and_evaluate(config, tmp_path / "search")
    record = json.loads((tmp_path / "search" / "metrics.jsonl").read_text())
    assert record["search_loss"] > 0
    begun, found = Policy.load(space), Policy.load(tmp_path / "search" / "policy.json")
    for before, after in zip(begun.probabilities(), found.probabilities(), strict=True):
        assert 1e-3 < np.abs(before - after).max() < 0.2
    assert 1e-3 < np.abs(begun.level - found.level).max() < 0.2
    assert not (tmp_path / "search" / "per_example.npz").exists()
    config.search = {"name": "none"}
    config.augment.train = (policy_of(tmp_path / "search" / "policy.json"),)
    assert 0 <= trainer.train_and_evaluate(config, tmp_path / "train")["test_top1"] <= 1
    assert not (tmp_path / "train" / "policy.json").exists()


def test_autodo_leaves_its_shared_policy_too(space, tmp_path):
    experiment = build_experiment(config_of(space, name="autodo", part=("head",)))
    state = jax.eval_shape(experiment.init, experiment.key)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), state.meta)
    run = SearchRun(
        state=state.replace(meta=zeros),
        path=tmp_path,
        title="",
        key=experiment.key,
        about=experiment.about,
        place="device",
        log_every=1,
        stop=lambda: False,
        progress=None,
        learned=experiment.learned,
    )
    experiment.search.export(run)
    found, begun = (Policy.load(file).values()[..., 0] for file in (tmp_path / "policy.json", space))
    np.testing.assert_allclose(found, begun, rtol=1e-5)


def test_steps_come_one_by_one(space):
    """Before every second step; through all parameters, along the unrolled step, whatever AutoDO's options are."""
    search = build_experiment(config_of(space, every=2)).search
    assert [search.due(step) for step in range(4)] == [1, 1, 2, 2]
    assert (search.part, search.solver, search.curvature) == ((), "unrolled", "hessian")
    for option in ("part", "solver", "curvature"):
        with pytest.raises(UsageError, match=f"config.search: unknown option '{option}' of search 'dada'"):
            build_experiment(config_of(space, **{option: "x"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"every": 0}, r"config\.search: every must be at least 1 for 'dada'"),
        ({"every": -1}, r"config\.search: every must be at least 0"),
        ({"rate": 0.0}, r"config\.search: .*rate must be above 0"),
        ({"name": "dad"}, r"config\.search: unknown search 'dad': did you mean 'dada'"),
        ({"batch_size": 97}, r"config\.search: .*divided among 2 devices"),
    ],
)
def test_mistakes(space, change, message):
    with pytest.raises(UsageError, match=message):
        build_experiment(config_of(space, **change))


def test_nothing_to_learn(space):
    config = config_of(space)
    config.augment.train = (policy_of(space, exact=False),)
    with pytest.raises(UsageError, match="nothing to learn"):
        build_experiment(config)
