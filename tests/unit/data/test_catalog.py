"""Data sets by name: what `load` passes to a source, the rows it leaves out or corrupts, and the package's face."""

import importlib
import sys

import numpy as np
import pytest
from helpers import dataset_copies as copies
from helpers.published_data import no_outside  # noqa: F401

from jaxaug import data
from jaxaug.core import registry
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import defaults_of
from jaxaug.data.sources.digits import digits

SOURCE = """
import numpy as np
import jaxaug.data
from jaxaug.core.registry import register

@register("data")
def stripes(*, width: int = 4, seed: int = 0):
    '''Stripes of random levels.

    Args:
      width: pixels of a side.
      seed: of the levels.
    '''
    image = np.random.default_rng(seed).integers(0, 256, (12, width, width, 1), dtype=np.uint8)
    rows = image, np.arange(12) % 3
    return jaxaug.data.assemble("stripes", rows, rows, num_classes=3, class_names=("a", "b", "c"))
"""


def assert_same(one, other):
    for title, split in one.splits().items():
        for field in ("image", "label", "index"):
            np.testing.assert_array_equal(getattr(split, field), getattr(other.splits()[title], field))


def test_load_is_source_then_subset_then_corruption():
    source = digits(validation_size=300, seed=3)
    assert_same(data.load("digits", validation_size=300, seed=3), source)
    numbers = {"subsample": 0.9, "imbalance": 4, "noise": 0.2}
    by_hand = data.corrupt(data.subset_rows(source, 500, 3), seed=3, rows="both", **numbers)
    loaded = data.load("digits", validation_size=300, train_size=500, seed=3, rows="both", **numbers)
    assert_same(loaded, by_hand)
    np.testing.assert_array_equal(loaded.clean_label, by_hand.clean_label)
    overfit = data.load("digits", ablation="overfit")
    np.testing.assert_array_equal(overfit.validation.image, source.test.image)


def test_a_set_from_outside(tmp_path, monkeypatch):
    """One file with an option of its own, that takes the seed and no other common option."""
    (tmp_path / "outside_stripes.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.setitem(registry._TABLES, "data", dict(registry._TABLES["data"]))
    options = {"seed": 5, "train_size": 9, "directory": str(tmp_path), "download": False}
    loaded = data.load("outside_stripes.stripes", width=6, **options)
    assert (loaded.image_shape, len(loaded.train)) == ((6, 6, 1), 9)
    levels = np.random.default_rng(5).integers(0, 256, (12, 6, 6, 1), dtype=np.uint8)
    np.testing.assert_array_equal(loaded.test.image, levels)
    assert "stripes" in data.list()
    with pytest.raises(UsageError, match="stripes: takes no validation_size, got 3"):
        data.load("stripes", validation_size=3)
    sys.modules.pop("outside_stripes")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cifra10", {}, "unknown data 'cifra10': did you mean 'cifar10'"),
        ("svhn", {"extras": True}, "unknown option 'extras' of data 'svhn': did you mean 'extra'"),
        (
            "digits",
            {"train_size": 9999},
            "digits: train_size=9999 must be a whole number in 0..1347",
        ),
        ("digits", {"validation_size": 1347}, "digits: validation_size=1347 must be smaller"),
        ("digits", {"noise": 2}, "digits: noise=2 must be a share"),
    ],
)
def test_mistakes(name, options, message):
    with pytest.raises(UsageError, match=message):
        data.load(name, **options)


def test_options_of_sources_agree_with_those_of_load():
    """One default each, so that a source asked by name gives what it gives when called."""
    common = defaults_of(data.load)
    for name in data.list():
        module = importlib.import_module(f"jaxaug.data.sources.{name}")
        own = defaults_of(getattr(module, name))
        assert {key: own[key] for key in own.keys() & common.keys()} == {
            key: common[key] for key in own.keys() & common.keys()
        }
        assert not own.keys() & {"train_size", "subsample", "imbalance", "noise", "rows", "ablation"}


def test_the_face():
    """What `dir` shows is there, and nothing else is shown."""
    assert dir(data) == sorted(data.__all__)
    for name in data.__all__:
        assert getattr(data, name).__doc__
    rows = copies.rows(12, (4, 4, 1), 3)
    assert data.assemble("x", rows, rows, num_classes=3, class_names=("a", "b", "c")).name == "x"
    with pytest.raises(AttributeError, match="no attribute 'sample'"):
        _ = data.sample
