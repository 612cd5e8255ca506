"""The archives of DeepAA's code against the published policies, which were read from such."""

import json

import jax
import numpy as np
import pytest
from helpers.settings import ROOT

from jaxaug import policies
from jaxaug.core.errors import UsageError

PUBLISHED = json.loads((ROOT / "jaxaug" / "policies" / "published" / "deepaa.json").read_text())["policies"]


def arrays_of(name):
    """As its search saves them: numbers of ops and levels, one pair a row."""
    found = PUBLISHED[name]
    return {
        "policy_probs": np.asarray(found["probs"], np.float32),
        "l_ops": len(found["ops"]),
        "l_mags": found["n_levels"],
        "ops": np.asarray([[found["ops"].index(pair["op"])] for pair in found["pairs"]]),
        "mags": np.asarray([[pair["level"]] for pair in found["pairs"]]),
        "op_names": np.asarray([f"{op}:0.5" for op in found["ops"]]),
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_archive_is_the_published_policy(name, tmp_path):
    np.savez(tmp_path / "policy.npz", **arrays_of(name))
    found, expected = policies.load(tmp_path / "policy.npz"), policies.deepaa(name)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)
    assert jax.tree.structure(found) == jax.tree.structure(expected)


def test_mistakes(tmp_path):
    path = tmp_path / "policy.npz"
    with pytest.raises(UsageError, match="there is no such file"):
        policies.load(path)
    arrays = arrays_of("cifar_1")
    broken = {
        "has no array 'ops'": {k: v for k, v in arrays.items() if k != "ops"},
        r"policy_probs \[\d+, 1\]": {**arrays, "policy_probs": arrays["policy_probs"][:, :1]},
        "its ops are not numbers of": {**arrays, "ops": arrays["ops"] - 1},
        "the op 'Twirl'": {**arrays, "op_names": np.asarray(["Twirl"] * len(arrays["op_names"]))},
        "cannot be read: Object arrays": {**arrays, "ops": arrays["ops"].astype(object)},
    }
    for message, changed in broken.items():
        np.savez(path, **changed)
        with pytest.raises(UsageError, match=message):
            policies.load(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UsageError, match=r"no \.npz, or cut off"):
        policies.load(path)
