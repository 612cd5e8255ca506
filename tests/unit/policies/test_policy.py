"""Policies: the published ones are what was published, draws follow their probabilities, files give them back."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import pil_oracle
from helpers.op_runner import drawn, through
from helpers.settings import ROOT
from scipy.stats import chisquare
from sklearn.datasets import load_sample_images

from jaxaug.core.errors import UsageError
from jaxaug.ops.registry import OPS
from jaxaug.policies import presets
from jaxaug.policies.policy import Policy, make_policy
from jaxaug.policies.sampling import sample, value_table

PRESETS = presets.every()
SIZES = {  # (sub-policies, layers, most branches)
    **{"randaugment": (1, 2, 14), "dada_space": (105, 2, 2)},
    **{"uniformaugment": (1, 2, 15), "affine": (1, 7, 2), "autodo_rand": (1, 2, 11), "autodo_color": (1, 2, 6)},
    "trivialaugment_wide": (1, 1, 434),
    "trivialaugment_standard": (1, 1, 434),
    **dict.fromkeys(("autoaugment_cifar10", "autoaugment_svhn", "autoaugment_imagenet"), (25, 2, 2)),
    "fast_autoaugment_cifar10": (493, 2, 2),
    "fast_autoaugment_svhn": (497, 2, 2),
    "fast_autoaugment_imagenet": (498, 2, 2),
    **dict.fromkeys(("dada_cifar10", "dada_cifar100", "dada_svhn", "dada_imagenet"), (25, 2, 2)),
    **dict.fromkeys(("deepaa_cifar_1", "deepaa_cifar_2"), (1, 6, 139)),
    **dict.fromkeys(("deepaa_imagenet_1", "deepaa_imagenet_2"), (1, 5, 139)),
}
draw = jax.jit(sample)
DRAWN = ("uniformaugment", "affine", "autodo_rand", "autodo_color")  # their values are not known beforehand


def published(file):
    return json.loads((ROOT / "jaxaug" / "policies" / "published" / file).read_text())


@pytest.mark.parametrize("name", SIZES)
def test_preset(name, tmp_path):
    """Its size; levels and probabilities in range; the same policy after a round through JSON."""
    policy = PRESETS[name]()
    assert set(SIZES) == set(PRESETS)
    assert policy.op.shape == SIZES[name]
    share, probability = policy.probabilities()
    np.testing.assert_allclose(share.sum(), 1)
    np.testing.assert_allclose(probability.sum(-1), 1)
    policy.save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json")
    assert (again.names, again.ranges, again.signed, again.noise, again.cover) == (
        *(policy.names, policy.ranges, policy.signed, policy.noise, policy.cover),
    )
    kept = probability > 0
    mine, theirs = ({"op": p.op, "value": p.values(), "probability": p.probabilities()[1]} for p in (policy, again))
    for s, layer in np.ndindex(policy.op.shape[:2]):
        these = kept[s, layer]
        count = these.sum()
        for key, values in mine.items():
            np.testing.assert_allclose(theirs[key][s, layer][:count], values[s, layer][these], rtol=1e-12)
    np.testing.assert_allclose(again.probabilities()[0], share)


def marginals(policy, layer):
    found = dict.fromkeys(policy.names, 0.0)
    for op, chance in zip(policy.op[0, layer], policy.probabilities()[1][0, layer], strict=True):
        found[policy.names[op]] += chance
    return found


@pytest.mark.parametrize("name", ["cifar_1", "cifar_2", "imagenet_1", "imagenet_2"])
def test_deepaa_is_what_was_published(name):
    facts = published("deepaa.json")["policies"][name]
    policy = presets.deepaa(name)
    probability = policy.probabilities()[1][0]
    values = {(policy.names[op], round(v, 9)) for op, v in zip(policy.op[0, 0], policy.values()[0, 0], strict=True)}
    for pair in facts["pairs"]:
        if pair["value"] is not None:
            assert (pair["op"], round(pair["value"], 9)) in values
    for layer, ops in enumerate(facts["op_marginals"]):
        found = marginals(policy, layer)
        for op, chance in ops.items():
            op = "RandResizeCrop" if op.startswith("RandResizeCrop") else op
            np.testing.assert_allclose(found[op], chance, atol=1e-6)
    entropy = -(probability * np.log(np.where(probability > 0, probability, 1))).sum(-1)
    np.testing.assert_allclose(entropy, facts["entropy_nats"], atol=1e-5)


def test_autoaugment_by_hand():
    """The first sub-policies of the paper's table for CIFAR-10, in torchvision's units."""
    policy = presets.autoaugment("cifar10")
    first = [(policy.names[op], v) for op, v in zip(policy.op[0, :, 0], policy.values()[0, :, 0], strict=True)]
    assert first[0][0] == "Invert"
    assert first[1][0] == "Contrast"
    np.testing.assert_allclose(first[1][1], 1 + 0.9 * 6 / 9)
    np.testing.assert_allclose(policy.probabilities()[1][0, :, 0], [0.1, 0.2])
    # The 17th, which many copies have as 0.2 and 0.8.
    assert [policy.names[op] for op in policy.op[16, :, 0]] == ["Equalize", "Equalize"]
    np.testing.assert_allclose(policy.probabilities()[1][16, :, 0], [0.2, 0.6])


@pytest.mark.parametrize("name", [name for name in SIZES if name not in DRAWN])
def test_no_pixel_differs_from_pil_at_the_levels_of(name):
    """Every value that a policy can draw, both signs, on a real photo: bit for bit."""
    policy = PRESETS[name]()
    photo = load_sample_images().images[1][100:132, 200:232]
    table = value_table(policy, 32, 32)
    plain = policy.values()
    cases = {}
    for s, layer, r in np.argwhere(policy.probabilities()[1] > 0):
        op = policy.names[policy.op[s, layer, r]]
        if op == "RandResizeCrop":
            continue
        for turned in (0, 1):
            value = plain[s, layer, r]
            value = 2 * OPS[op].neutral - value if turned and op in policy.signed else value
            cases[op, float(value)] = table.values[s, layer, r, turned], table.fixed[s, layer, r, turned]
    ops = [op for op, _ in cases]
    values, fixed = (np.stack(column) for column in zip(*cases.values(), strict=True))
    size = -(-len(ops) // 512) * 512
    ops, values, fixed = (
        np.concatenate([x, np.repeat(x[-1:], size - len(cases), axis=0)]) for x in (ops, values, fixed)
    )
    found = []
    for start in range(0, size, 512):
        part = slice(start, start + 512)
        draws = drawn(ops[part], values[part], fixed=fixed[part, None])
        found.extend(through(np.repeat(photo[None], 512, axis=0), draws))
    for (op, value), image in zip(cases, found, strict=False):
        np.testing.assert_array_equal(image, pil_oracle.apply(op, photo, value), err_msg=f"{op} {value}")


@pytest.mark.parametrize("name", ["trivialaugment_wide", "autoaugment_svhn", "deepaa_cifar_1"])
def test_draws_follow_the_probabilities(name):
    policy = PRESETS[name]()
    count = 40_000
    drawn_ops = np.asarray(draw(jax.random.key(1), policy, np.arange(count)).op)
    share, probability = policy.probabilities()
    for layer in range(policy.op.shape[1]):
        wanted = np.zeros(len(policy.names))
        np.add.at(wanted, policy.op[:, layer], share[:, None] * probability[:, layer])
        seen = np.bincount(drawn_ops[:, layer], minlength=len(wanted))
        assert (seen[wanted == 0] == 0).all()
        often = wanted * count > 5
        seen, wanted = seen[often], wanted[often]
        assert chisquare(seen, wanted / wanted.sum() * seen.sum()).pvalue > 1e-4


def test_layers_of_a_sub_policy_go_together():
    policy = make_policy(
        [[[("Flip", 0, 1)], [("Invert", 0, 1)]], [[("Equalize", 0, 1)], [("AutoContrast", 0, 1)]]], shares=[3, 1]
    )
    ops = np.asarray(policy.names)[np.asarray(draw(jax.random.key(0), policy, np.arange(4000)).op)]
    pairs = {tuple(row) for row in ops}
    assert pairs == {("Flip", "Invert"), ("Equalize", "AutoContrast")}
    assert abs((ops[:, 0] == "Flip").mean() - 0.75) < 0.03


def test_noise():
    """Sign about the neutral value; uniform from the low end; normal about the neutral value."""
    rotate, ranges, rows = [[[("Rotate", 1.0, 1)]]], {"Rotate": (0.0, 30.0)}, jnp.arange(4000)
    values = {
        noise: np.asarray(
            sample(jax.random.key(2), make_policy(rotate, ranges, signed=("Rotate",), noise=(noise,)), rows).value
        )
        for noise in ("sign", "uniform", "normal")
    }
    assert set(values["sign"].ravel()) == {-30.0, 30.0}
    assert 0 <= values["uniform"].min() < 0.1 < 29.9 < values["uniform"].max() <= 30
    assert abs(values["normal"].std() / 30 - 1) < 0.05
    bright = make_policy(
        [[[("Brightness", 1.0, 1)]]], {"Brightness": (1.0, 1.5)}, signed=("Brightness",), noise=("sign",)
    )
    assert set(np.asarray(sample(jax.random.key(0), bright, rows).value).ravel().tolist()) == {0.5, 1.5}


def test_a_policy_per_row():
    """Levels and odds are those of the row; the value's derivative reaches the row's own level only."""
    shared = make_policy([[[("Rotate", 0.5, 0.5), ("Identity", 0, 0.5)]]], {"Rotate": (0.0, 30.0)})
    own = shared.replace(
        mix=jnp.zeros((3, 1)),
        logits=jnp.asarray([[0.0, -50.0], [-50.0, 0.0], [0.0, -50.0]]).reshape(3, 1, 1, 2),
        level=jnp.asarray([0.1, 0.2, 0.3]).repeat(2).reshape(3, 1, 1, 2),
    )
    rows = jnp.asarray([2, 0, 1, 2])
    found = draw(jax.random.key(0), own, rows)
    np.testing.assert_array_equal(
        np.asarray(own.names)[np.asarray(found.op[:, 0])], ["Rotate", "Rotate", "Identity", "Rotate"]
    )
    np.testing.assert_allclose(found.value[[0, 1, 3], 0], [9.0, 3.0, 9.0], rtol=1e-6)
    slope = jax.grad(lambda level: draw(jax.random.key(0), own.replace(level=level), rows).value[:2].sum())(own.level)
    np.testing.assert_allclose(slope[:, 0, 0, 0], [30, 0, 30], rtol=1e-6)
    assert value_table(own, 8, 8) is None
    with pytest.raises(UsageError, match="per training row"):
        own.save("nowhere.json")


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: presets.get("randaugmnet"), "did you mean 'randaugment'"),
        (lambda: presets.randaugment(2, 40), "magnitude in 0..30"),
        (lambda: presets.deepaa("cifar_3"), "did you mean"),
        (lambda: make_policy([[[("Shear", 0.5, 1)]]]), "did you mean 'ShearY' or 'ShearX'"),
        (lambda: make_policy([[[("ShearX", 1.5, 1)]]]), "levels must be in"),
        (lambda: make_policy([[[("ShearX", 0.5, 0)]]]), "not all 0"),
        (lambda: make_policy([[[("ShearX", 0.5, 1)]]], noise=("signs",)), "noise of a policy"),
        (lambda: make_policy([[[("Flip", 0, 1)]], [[("Flip", 0, 1)]] * 2]), "equally many layers"),
        (lambda: make_policy([[]]), "at least one"),
        (lambda: make_policy([[[("Flip", 0, 1)]]], shares=[-1]), "one number of at least 0"),
        (lambda: make_policy([[[("Flip", 0, 1)]]], shares=[1, 1]), "one number of at least 0"),
        (lambda: make_policy([[[("Flip", 0)]]]), "a branch of a policy is .op, level, probability., got"),
        (lambda: make_policy([[[("Flip", 0, 1)]]], {"flip": (0, 1)}), "did you mean 'Flip'"),
        (
            lambda: make_policy([[[("Rotate", 0, 1)]]], {"Rotate": (0, 1, 2)}),
            "range of Rotate .* two finite numbers",
        ),
        (lambda: make_policy([[[("Rotate", 0, 1)]]], {"Rotate": (0, np.inf)}), "the range of Rotate"),
        (
            lambda: make_policy([[[("Flip", 0, 1)]]], cover=(300.0,)),
            "the cover of a policy must be one number in 0",
        ),
        (lambda: make_policy([[[("Flip", 0, 1)]]], cover=()), "the cover of a policy"),
        (lambda: presets.uniformaugment(0), "at least one"),
        (lambda: presets.trivialaugment(bins=1), "bins must be at least 2"),
        (lambda: Policy.load("nowhere.json"), "cannot read the policy"),
    ],
)
def test_mistakes(make_it, message):
    with pytest.raises(UsageError, match=message):
        make_it()


def test_not_a_policy(tmp_path):
    for text in ("{", "[]", '{"format": "other"}', '{"format": "jaxaug policy 1"}'):
        (tmp_path / "policy.json").write_text(text)
        with pytest.raises(UsageError, match="is not a policy of jaxaug"):
            Policy.load(tmp_path / "policy.json")
    make_policy([[[("Flip", 0, 1)]]]).save(tmp_path / "good.json")
    good = json.loads((tmp_path / "good.json").read_text())
    for name, value in (("ranges", [1]), ("subpolicies", [{"share": 1, "layers": [[[]]]}]), ("cover", ["a"])):
        (tmp_path / "policy.json").write_text(json.dumps({**good, name: value}))
        with pytest.raises(UsageError, match="policy"):
            Policy.load(tmp_path / "policy.json")
    with pytest.raises(UsageError, match="cannot be written: there is no folder"):
        make_policy([[[("Flip", 0, 1)]]]).save(tmp_path / "missing" / "x.json")
