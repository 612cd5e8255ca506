"""AutoDO's methods as variants of the configs: each is built and learns what it says."""

import jax
import pytest
from helpers.settings import ROOT
from test_configs import SHAPES, module_of

from jaxaug import losses
from jaxaug.augment import compose
from jaxaug.core.errors import UsageError
from jaxaug.core.types import merge_meta_params
from jaxaug.train import autodo_methods, sweep

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
    configs = sweep.expand(module_of(name).get_config(METHODS.replace("all", autodo_methods.ALL)))
    assert set(OWN) | {"plain", "RAND", "AUTO", "DADA", "SHA", "train_and_validation", "validation_only"} == set(
        configs
    )
    for method, config in configs.items():
        channels = SHAPES[config.data.name][2]
        _, augment_key = compose.build_pipeline(config.augment, (0.5,) * channels, (0.5,) * channels)
        meta = merge_meta_params([augment_key, losses.build_chain(config.loss).meta(10)])
        assert set(meta.per_example) == OWN.get(method, set())
        assert set(meta.shared) == ({"policy"} if method.startswith("SHA") else set())
        assert config.search.name == ("autodo" if meta.per_example or meta.shared else "")
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
    found = autodo_methods.variants("SEP_BOTH", parts=("parts.flip",))
    for name, rows in (("train_and_validation", "both"), ("validation_only", "validation")):
        assert found[name].pop("data") == {"rows": rows}
        assert found[name] == found["plain"]
    assert jax.tree.leaves(autodo_methods.RELEASED)


@pytest.mark.parametrize("method", ["SEPP", "SEP_BOTHS", "", "compat_"])
def test_unknown_methods(method):
    with pytest.raises(UsageError, match="unknown method"):
        autodo_methods.variants(method)
