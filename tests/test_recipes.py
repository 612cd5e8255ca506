"""AutoDO's methods as variants of the configs: each is built and learns what it says."""

import jax
import pytest
from conftest import ROOT
from test_configs import SHAPES, module_of

from jaxaug import losses, recipes, sweep
from jaxaug.augment import pipeline
from jaxaug.errors import UsageError
from jaxaug.types import united

FILES = sorted(path.stem for path in (ROOT / "configs").glob("autodo_*.py"))
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
    configs = sweep.expand(module_of(name).get_config(METHODS.replace("all", recipes.ALL)))
    assert set(OWN) | {"plain", "RAND", "AUTO", "DADA", "SHA", "train_and_validation", "validation_only"} == set(
        configs
    )
    for method, config in configs.items():
        channels = SHAPES[config.data.name][2]
        _, of_augment = pipeline.build(config.augment, (0.5,) * channels, (0.5,) * channels)
        hyper = united([of_augment, losses.build(config.loss).hyper(10)])
        assert set(hyper.own) == OWN.get(method, set())
        assert set(hyper.shared) == ({"policy"} if method.startswith("SHA") else set())
        assert config.search.name == ("autodo" if hyper.own or hyper.shared else "")
        assert (config.search.direction == "directions.neumann") == method.startswith("compat")


def test_compat_is_the_released_code():
    config = sweep.expand(module_of("autodo_cifar").get_config("compat_SEP_BOTH"))["compat_SEP_BOTH"]
    assert config.search.part == ("head", "kernel")
    assert config.search.neumann.to_dict() == {"steps": 5, "rate": 0.01, "scaled": False}
    assert config.loss.chain == ("targets.learned_targets", "weights.learned_weights", "targets.divergence")
    assert (config.loss.learned_targets.smoothing, config.loss.learned_weights.normalise) == (0.05, "none")
    assert (config.augment.affine.geometry, config.augment.affine.upscale) == ("kornia_0.4.1", 4)
    assert config.augment.train[-1] == "affine.affine"


def test_controls_differ_in_their_rows_alone():
    found = recipes.variants("SEP_BOTH", parts=("parts.flip",))
    for name, rows in (("train_and_validation", "both"), ("validation_only", "validation")):
        assert found[name].pop("data") == {"rows": rows}
        assert found[name] == found["plain"]
    assert jax.tree.leaves(recipes.RELEASED)


@pytest.mark.parametrize("method", ["SEPP", "SEP_BOTHS", "", "compat_"])
def test_unknown_methods(method):
    with pytest.raises(UsageError, match="unknown method"):
        recipes.variants(method)
