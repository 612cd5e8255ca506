"""AutoDO's methods as variants of the configs: each is built and learns what it says."""

import jax
import pytest
from helpers.settings import ROOT, SHAPES, module_of

from jaxaug import losses
from jaxaug.augment.compose import build_pipeline
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate
from jaxaug.core.types import merge_meta_params
from jaxaug.train import autodo_methods
from jaxaug.train.config import complete, expand

# The rows of autodo_cifar10n are of its own: plain training, trusted rows and lists of suspects beside four methods.
FILES = sorted({path.stem for path in (ROOT / "configs").glob("autodo_*.py")} - {"autodo_cifar10n"})
METHODS = "all+SHA_SOFT+compat_SEP_BOTH+compat_NONE_WGHT"
OWN = {
    "SEP": {"policy"},
    "SEP_WGHT": {"policy", "weight"},
    "SEP_BOTH": {"policy", "weight", "soft"},
    "SHA_SOFT": {"soft"},
    "compat_SEP_BOTH": {"policy", "weight", "soft"},
    "compat_NONE_WGHT": {"weight"},
}


@pytest.mark.parametrize("name", FILES)
def test_methods(name):
    configs = expand(module_of(name).get_config(METHODS.replace("all", autodo_methods.ALL)))
    assert set(OWN) | {"plain", "RAND", "AUTO", "DADA", "SHA", "train_and_validation", "validation_only"} == set(
        configs
    )
    for method, config in configs.items():
        half, one = (0.5,) * SHAPES[config.data.name][2], complete(config)
        train, after = ([instantiate("augment", slot) for slot in one.augment[name]] for name in ("train", "after"))
        _, augment_meta = build_pipeline(train, after, mean=half, std=half)
        meta = merge_meta_params([augment_meta, losses.create(one.loss).meta(10)])
        assert set(meta.per_example) == OWN.get(method, set())
        assert set(meta.shared) == ({"policy"} if method.startswith("SHA") else set())
        assert one.search.name == ("autodo" if meta.per_example or meta.shared else "none")
        solver = one.search.solver.name if "solver" in one.search else ""
        assert (solver == "neumann") == method.startswith("compat")


def test_compat_is_the_released_code():
    config = complete(expand(module_of("autodo_cifar").get_config("compat_SEP_BOTH"))["compat_SEP_BOTH"])
    assert config.search.part == ("head", "kernel")
    assert config.search.curvature == "hessian"
    assert config.search.solver.to_dict() == {"name": "neumann", "steps": 5, "rate": 0.01, "scaled": False}
    targets, weights, divergence = config.loss
    assert (targets["name"], targets["smoothing"]) == ("learned_targets", 0.05)
    assert (weights["name"], weights["normalize"]) == ("learned_weights", "none")
    assert (divergence["name"], divergence["symmetric"]) == ("kl_divergence", True)
    affine = config.augment.after[-1]
    assert (affine["name"], affine["geometry"], affine["upscale"]) == ("affine", "kornia_0.4.1", 4)


def test_controls_differ_in_their_rows_alone():
    found = autodo_methods.variants("SEP_BOTH", transforms=("flip",))
    for name, rows in (("train_and_validation", "both"), ("validation_only", "validation")):
        assert found[name].pop("data") == {"rows": rows}
        assert found[name] == found["plain"]
    assert jax.tree.leaves(autodo_methods.RELEASED)


@pytest.mark.parametrize("method", ["SEPP", "SEP_BOTHS", "", "compat_"])
def test_unknown_methods(method):
    with pytest.raises(UsageError, match="unknown method"):
        autodo_methods.variants(method)
