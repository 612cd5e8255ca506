"""What is traced for: a mesh's devices inside `traced_for`, else the process's own platform."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from jaxaug.core.sharding import make_mesh
from jaxaug.core.target import Target, target, traced_for
from jaxaug.losses import _feature_statistics
from jaxaug.ops import execute


class OfATpu:
    """A device that is not here."""

    platform = "tpu"


def test_a_function_finds_the_mesh_it_is_traced_for_and_nobody_after_it():
    mesh, seen = make_mesh(), []
    jax.eval_shape(traced_for(mesh, lambda x: (seen.append(target()), x)[1]), np.zeros(3))
    assert seen == [Target("cpu", mesh)]
    assert seen[0].devices == 2
    assert target() == Target("cpu")
    assert target().devices == 1

    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        traced_for(mesh, fails)()
    assert target() == Target("cpu")


def test_code_is_chosen_by_the_target_and_not_by_what_is_here(monkeypatch):
    """Schedulers and tiles, which are a processor's here."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    assert execute._scheduler() == "map"
    assert _feature_statistics._tile(640) == 80
    elsewhere = Mesh(np.array([OfATpu()], object), ("data",))
    assert traced_for(elsewhere, execute._scheduler)() == "fused"
    assert traced_for(elsewhere, lambda: _feature_statistics._tile(640))() == 640
