"""A search for a policy inside a run: what it leaves, that it can be stopped, its options, its mistakes."""

import json
import signal

import jax
import numpy as np
import pytest
from helpers.settings import tiny_config

from jaxaug.core.errors import Interrupted, UsageError
from jaxaug.policies import presets, search_space
from jaxaug.policies.policy import Policy
from jaxaug.runs.workdir import POLICY
from jaxaug.search.deepaa.run import _Search
from jaxaug.train import trainer
from jaxaug.train.experiment import build_experiment

OPS = ("TranslateX", "Invert")


def config_of(**options):
    config = tiny_config()
    config.loss, config.augment.train = (), ()
    config.model = {"name": "linear"}
    config.data.validation_size, config.log_every = 0.2, 3
    config.search = {"name": "deepaa", "solver": {"name": "cosine"}, "part": (), "pool": 300}
    config.search.update(ops=OPS, levels=3)
    config.search.update(num_layers=2, updates=4, images=2, validation=8, copies=2, factor=2, chunk=1)
    config.search.update(options)
    return config


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A run that searched: its folder and its figures."""
    folder = tmp_path_factory.mktemp("searched")
    return folder, trainer.train_and_evaluate(config_of(), folder)


def logits_in(folder):
    return Policy.load(folder / POLICY).probabilities()[1]


def test_a_run_leaves_its_policy(searched):
    folder, result = searched
    policy = Policy.load(folder / "policy.json")
    assert (policy.op.shape, policy.noise) == ((1, 2, 4), ("sign",))  # Identity, two levels, one without
    assert result["policy"]["layers"][0]["operations"]["Identity"] > 0.9
    assert 0 < result["test_top1"] <= 1
    assert (folder / "policy.png").read_bytes()[:4] == b"\x89PNG"
    assert "Invert" in (folder / "policy.md").read_text()
    records = [json.loads(line) for line in (folder / "search.jsonl").read_text().splitlines()]
    assert [(r["step"], r["layer"], r["stage"]) for r in records] == [
        (3, 1, "first"),
        (4, 1, "first"),
        (7, 2, "later"),
        (8, 2, "later"),
    ]
    assert all(-1 <= r["cosine"] <= 1 and 0 <= r["entropy"] <= np.log(4) for r in records)


def test_the_policy_trains(searched, tmp_path):
    config = tiny_config()
    config.augment.train = ({"name": "policy", "file": str(searched[0] / "policy.json")},)
    assert trainer.train_and_evaluate(config, tmp_path)["test_top1"] > 0.1


@pytest.mark.parametrize("at", [2, 6])
def test_stopped_and_resumed_is_the_same_search(searched, at, tmp_path, monkeypatch):
    update = _Search._update

    def interrupted(self, name, layer):
        if int(self._state.step) + 1 == at:
            signal.raise_signal(signal.SIGTERM)
        return update(self, name, layer)

    monkeypatch.setattr(_Search, "_update", interrupted)
    with pytest.raises(Interrupted, match=f"update {at}"):
        trainer.train_and_evaluate(config_of(), tmp_path)
    monkeypatch.undo()
    trainer.train_and_evaluate(config_of(), tmp_path)
    np.testing.assert_array_equal(logits_in(tmp_path), logits_in(searched[0]))
    steps = [json.loads(line)["step"] for line in (tmp_path / "search.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))


def test_with_the_network_of_another_run(searched, tmp_path):
    config = config_of()
    config.search.network = str(searched[0])
    result = trainer.train_and_evaluate(config, tmp_path)
    assert "test_top1" not in result
    np.testing.assert_array_equal(logits_in(tmp_path), logits_in(searched[0]))


def test_the_end_and_all_layers_together(searched, tmp_path):
    config = config_of(num_layers=3, stop=0.5, refine=2, identity=1.5)  # probable, but not all that is drawn
    config.search.network = str(searched[0])
    trainer.train_and_evaluate(config, tmp_path)
    records = [json.loads(line) for line in (tmp_path / "search.jsonl").read_text().splitlines()]
    assert [record["stage"] for record in records] == ["first", "first", "all"]
    assert Policy.load(tmp_path / "policy.json").op.shape[1] == 1
    assert records[2]["entropy"] != records[1]["entropy"]


@pytest.mark.parametrize(
    "changes",
    [
        {"search": {"solver": {"name": "conjugate_gradient"}, "part": ("head",)}},
        {"search": {"levels": 0, "exact": False, "ops": ("Rotate", "Brightness")}},
        {"search": {"solver": {"name": "identity"}, "curvature": "hessian"}},
        {"search": {"exact": False, "softens": ("TranslateX",)}, "loss": ("soft_targets",)},
    ],
    ids=["conjugate gradient", "learned levels", "identity", "softened targets"],
)
def test_beyond_the_paper(changes, searched, tmp_path):
    config = config_of(num_layers=1, updates=2)
    config.search.network = str(searched[0])
    config.update(changes)
    trainer.train_and_evaluate(config, tmp_path)
    found = logits_in(tmp_path)
    assert np.isfinite(found).all()
    before = logits_in(searched[0])[:, :1]
    assert found.shape != before.shape or np.abs(found - before).max() > 1e-6


def test_images_sent_from_the_host(searched, tmp_path):
    """The same policy; the same network, which is not trained again."""
    config = config_of()
    config.search.network, config.place = str(searched[0]), "host"
    trainer.train_and_evaluate(config, tmp_path)
    np.testing.assert_array_equal(logits_in(tmp_path), logits_in(searched[0]))


def change(**changes):
    return lambda config: config.search.update(changes)


def other_search(config):
    config.search = {"name": "autodo", "pool": 300}


MISTAKES = {
    "learned levels of PIL": (change(levels=0), r"config\.search: .*needs exact=False"),
    "unknown op": (change(ops=("Turn",)), r"config\.search: unknown operation 'Turn'"),
    "one level": (change(levels=1), r"config\.search: .*levels must be 0 or at least 2"),
    "items and devices": (change(images=3), r"config\.search: .*cannot be divided among 2 devices"),
    "no such option": (change(imges=3), r"config\.search: unknown option 'imges' of search 'deepaa': .*'images'"),
    "chunk": (change(chunk=3), r"config\.search: deepaa: chunk 3 does not divide"),
    "no updates": (change(updates=0), r"config\.search: deepaa: updates must be at least 1"),
    "no rate": (change(learning_rate=0.0), r"config\.search: deepaa: learning_rate must be above 0"),
    "unknown solver": (
        change(solver={"name": "cosines"}),
        r"config\.search\.solver: unknown solver 'cosines': did you mean 'cosine'",
    ),
    "no validation": (
        lambda config: config.data.update(validation_size=0.0),
        r"config\.search: .*needs validation rows .*validation_size",
    ),
    "pool too large": (
        change(pool=5000),
        r"config\.search: deepaa: pool=5000 must be smaller than the 1078 training rows",
    ),
    "a pool for another search": (other_search, r"config\.search: unknown option 'pool' of search 'autodo'"),
    "no such part": (change(part=("heads",)), r"config\.search: .*no part 'heads'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    mistake, message = MISTAKES[name]
    config = config_of()
    mistake(config)
    with pytest.raises(UsageError, match=message):
        build_experiment(config)


def test_checkpoint_of_another_model(searched, tmp_path):
    config = config_of()
    config.search.network = str(searched[0])
    config.model = {"name": "convnet", "widths": (4, 4)}
    with pytest.raises(UsageError, match="not the one of"):
        trainer.train_and_evaluate(config, tmp_path)


@pytest.mark.parametrize(("shape", "name"), [((32, 32, 3), "cifar_1"), ((224, 224, 3), "imagenet_2")])
def test_the_space_is_that_of_the_published_policies(shape, name):
    space, published = search_space.make_search_space(shape), presets.deepaa(name, sign=False)
    branches = [
        [(policy.names[i].removesuffix("60"), round(float(v), 9)) for i, v in zip(policy.op[0, 0], values, strict=True)]
        for policy, values in ((space, space.values()[0, 0]), (published, published.values()[0, 0]))
    ]
    assert branches[0] == branches[1]
    assert len(branches[0]) == 139


def test_seeds_differ_and_repeat():
    chosen = [build_experiment(config_of()).search.chosen for _ in range(2)]
    for step in (0, 5):
        assert all(jax.tree.leaves(jax.tree.map(np.array_equal, chosen[0](step), chosen[1](step))))
    assert not np.array_equal(chosen[0](0).validation, chosen[0](1).validation)
