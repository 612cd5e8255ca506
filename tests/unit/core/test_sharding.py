"""Devices: meshes, where arrays lie, and rules that say so."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxaug.core import sharding
from jaxaug.core.errors import UsageError


def test_compiled_programs_are_kept_below_home_unless_said(monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(jax.config, "update", lambda *arguments: told.append(arguments))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    sharding.enable_compilation_cache()
    assert told == []
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    sharding.enable_compilation_cache()
    assert told == [("jax_compilation_cache_dir", f"{tmp_path}/.cache/jaxaug/compiled")]


def test_where_arrays_lie():
    mesh = sharding.make_mesh()
    assert (mesh.axis_names, mesh.size) == (("data",), jax.device_count())
    assert sharding.replicated(mesh).spec == PartitionSpec()
    assert sharding.sharded_along(mesh, 1).spec == PartitionSpec(None, "data")
    rows = np.arange(8).reshape(2, 4)
    everywhere = sharding.put_global({"rows": rows}, sharding.replicated(mesh))["rows"]
    spread = sharding.put_global(rows, sharding.sharded_along(mesh, 1))
    assert [shard.data.shape for shard in everywhere.addressable_shards] == [(2, 4)] * mesh.size
    assert [shard.data.shape for shard in spread.addressable_shards] == [(2, 4 // mesh.size)] * mesh.size
    np.testing.assert_array_equal(spread, rows)


def test_one_process_is_the_main_one():
    assert sharding.is_main_process()
    assert sharding.any_process(True)
    assert not sharding.any_process(False)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (None, {"data": 2}),
        ({"data": -1, "fsdp": 1}, {"data": 2}),
        ({"data": -1, "fsdp": 2}, {"data": 1, "fsdp": 2}),
        ({"fsdp": -1, "data": 1}, {"data": 1, "fsdp": 2}),
    ],
)
def test_meshes(sizes, expected):
    mesh = sharding.make_mesh(sizes)
    assert dict(mesh.shape) == expected
    assert sharding.sharded_along(mesh, 0).shard_shape((8, 3)) == (4, 3)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"model": 2}, "axes data and fsdp, not 'model'"),
        ({"fsdp": 0}, "fsdp must be -1 or at least 1, got 0"),
        ({"fsdp": 3}, "data=-1, fsdp=3 does not fit 2 devices"),
        ({"data": 1}, "data=1, fsdp=1 does not fit 2 devices"),
        ({"fsdp": -1}, "data=-1, fsdp=-1 does not fit"),
    ],
)
def test_meshes_that_cannot_be(sizes, message):
    with pytest.raises(UsageError, match=message):
        sharding.make_mesh(sizes)


LARGE = np.zeros((sharding.LARGE // 2, 2), np.float32)
STATE = {
    "params": {"small": np.zeros((4, 6)), "odd": np.zeros((3, 5)), "large": LARGE, "number": np.zeros(())},
    "meta": {"large": LARGE},
}


def specs(sizes, *rules):
    found = sharding.shardings_of(STATE, sharding.make_mesh(sizes), rules)
    return jax.tree.map(lambda one: tuple(one.spec), found)


def test_large_arrays_are_spread():
    """Along the largest axis that divides; what a search has learnt is never."""
    nothing = {"small": (), "odd": (), "large": (), "number": ()}
    assert specs({"fsdp": 2}) == {"params": {**nothing, "large": ("fsdp",)}, "meta": {"large": ()}}
    assert specs(None) == {"params": nothing, "meta": {"large": ()}}


def test_the_first_rule_that_matches_decides():
    """Smaller arrays too, other axes, and none at all; without the axis, rules leave everything whole."""
    rules = (("^params/small$", (None, "fsdp")), ("params/large", ()), (".", "fsdp"))
    expected = {"small": (None, "fsdp"), "odd": (), "large": (), "number": ()}
    assert specs({"fsdp": 2}, *rules) == {"params": expected, "meta": {"large": ("fsdp",)}}
    assert specs(None, ("small", ("fsdp",)))["params"]["small"] == (None,)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (("(", "fsdp"), "is no rule"),
        (("small", "model"), "'model' is neither"),
        (("small", ("model",)), "is neither"),
        ("fsdp", "is no rule"),
        (("number", ("fsdp",)), "more axes than params/number"),
        (("odd", ("fsdp",)), r"cannot divide params/odd, \[3, 5\], among 2"),
    ],
)
def test_rules_that_are_none(rule, message):
    with pytest.raises(UsageError, match=message):
        specs({"fsdp": 2}, rule)
