"""Any list of (op, image, value) as one batch through the engine, so that a size and a scheduler compile once."""

import jax
import jax.numpy as jnp
import numpy as np

from helpers import pil_oracle
from jaxaug.ops.execute import execute
from jaxaug.ops.records import ExecutionSettings, Sample, SampledOps
from jaxaug.ops.registry import OPS
from jaxaug.ops.warp import visibility_after

NAMES = tuple(OPS)
run = jax.jit(execute, static_argnums=0)
share_of = jax.jit(visibility_after, static_argnums=(0, 2, 3))


def drawn(ops, values, random=None, fixed=None, gate=None):
    """Lists [n] or [n L] as a Draw."""
    position = np.asarray([NAMES.index(op) for op in np.ravel(ops)], np.int32).reshape(np.shape(ops))
    position, values = (x[:, None] if x.ndim == 1 else x for x in (position, np.asarray(values)))
    random = np.full((*position.shape, 4), 0.5, np.float32) if random is None else random.reshape(*position.shape, 4)
    dtype = jnp.result_type(float)
    gate = None if gate is None else jnp.asarray(gate, dtype)
    fixed = None if fixed is None else jnp.asarray(fixed)
    return SampledOps(jnp.asarray(position), jnp.asarray(values, dtype), jnp.asarray(random, dtype), fixed, gate)


def settings(scheduler="map", exact=True):
    return ExecutionSettings(NAMES, pil_oracle.COVER, exact, scheduler)


def through(images, draw, scheduler="map", exact=True):
    """Images [n H W C] after the draw, as an array of the same form."""
    planes = jnp.asarray(images.transpose(0, 3, 1, 2))
    planes = planes if exact else planes.astype(jnp.float32)
    return np.asarray(run(settings(scheduler, exact), draw, Sample(planes)).image).transpose(0, 2, 3, 1)


def value_of(op, share):
    """The value at `share` in 0..1 of an op's range."""
    return OPS[op].low + share * (OPS[op].high - OPS[op].low)
