"""Parts of a training step for eight TPU chips that are not here, as they were and as they are: docs/scaling.md.

    python benchmarks/scaling_findings.py [--output benchmarks/results/scaling_findings_v5e.json]

Needs the TPU compiler, see `jaxaug plan`. Each part is compiled alone; bytes are of memory traffic, or sent, per chip.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib

TOPOLOGY = "v5e:2x4"
ROWS, CLASSES, DEPTH = (1024, 8192, 32768), 10, 640


def cost(mesh, function, spread, *given):
    """The cost of function(*given), of which those numbered in `spread` lie along the devices."""
    import jax

    from jaxaug.core.sharding import replicated, sharded_along
    from jaxaug.core.target import traced_for
    from jaxaug.planning.compiled import cost_of

    def place(number, tree):
        sharding = sharded_along(mesh, 0) if number in spread else replicated(mesh)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)

    placed = [place(number, tree) for number, tree in enumerate(given)]
    found = cost_of(jax.jit(traced_for(mesh, function)), *placed, platform="tpu", devices=mesh.size)
    exchanged = sum(one.bytes for one in found.collectives.values())
    return {"memory": found.memory, "traffic": found.bytes_accessed, "exchanged": exchanged}


def of_shape(shape, dtype):
    import jax

    return jax.ShapeDtypeStruct(shape, dtype)


def images(mesh):
    """1,024 of 50,000 images of 32 px, as float32: stored [N H W C], and as a loader stores them."""
    import jax
    import jax.numpy as jnp

    from jaxaug.data.dataset import Split
    from jaxaug.data.sampler import flattened, take

    split = Split(of_shape((50_000, 32, 32, 3), jnp.uint8), *[of_shape((50_000,), jnp.int32)] * 2)
    rows = of_shape((1024,), jnp.int32)

    def some(split, rows):
        return take(split, rows).image.astype(jnp.float32)

    flat = jax.eval_shape(flattened, split)
    return {"before": cost(mesh, some, (1,), split, rows), "now": cost(mesh, some, (1,), flat, rows)}


def isda(mesh):
    """Full covariances of 10 classes and 640 features: all features exchanged, and sums by class."""
    import jax
    import jax.numpy as jnp

    from jaxaug.losses import _feature_statistics as statistics

    state = jax.eval_shape(functools.partial(statistics.init_statistics, CLASSES, DEPTH, full=True))
    found, kept = {}, statistics.ROWS_PER_CLASS
    for rows in ROWS:
        given = state, of_shape((rows, DEPTH), jnp.float32), of_shape((rows,), jnp.int32)
        for name, bound in (("before", rows), ("now", kept)):
            statistics.ROWS_PER_CLASS = bound
            # A function of its own each time, so that nothing is found in a cache.
            update = functools.partial(statistics.update_statistics, keep=1.0)
            found.setdefault(str(rows), {})[name] = cost(mesh, lambda *a, u=update: u(*a), (1, 2), *given)
    return found


def tables(mesh):
    """Equalize and AutoContrast of 1,024 images of 32 px: by look-ups, and as they are on TPUs."""
    import jax
    import jax.numpy as jnp

    from jaxaug.core.target import Target
    from jaxaug.ops import lut

    found, kept = {}, lut.target
    for name in ("equalize", "stretch"):
        for when, asked in (("before", lambda: Target("gpu")), ("now", kept)):
            lut.target = asked
            function = jax.vmap(lambda image, name=name: getattr(lut, name)(image))
            found.setdefault(name, {})[when] = cost(mesh, function, (0,), of_shape((1024, 3, 32, 32), jnp.uint8))
    return found


def displacements(mesh):
    """256 images of 256 px, and of 32 px, each under an affine map of its own: by XLA's gather, and by the kernel."""
    import jax
    import jax.numpy as jnp

    from jaxaug.ops import tpu_gather, uint8

    found, kept = {}, tpu_gather.PIXELS
    for side in (256, 32):

        def moved(planes, six, side=side):
            return jax.vmap(uint8.take, (0, None, None))(planes, uint8.where_from(tuple(six), side, side), 0)

        given = of_shape((256, 3, side, side), jnp.uint8), of_shape((256, 6), jnp.int32)
        for when, pixels in (("before", 0), ("now", kept)):
            tpu_gather.PIXELS = pixels
            found.setdefault(str(side), {})[when] = cost(mesh, lambda *a, f=moved: jax.vmap(f)(*a), (0, 1), *given)
    return found


def main():
    from jaxaug.planning.topology import devices_of, prepare_environment

    parser = argparse.ArgumentParser(description=__doc__)
    default = pathlib.Path("benchmarks/results/scaling_findings_v5e.json")
    parser.add_argument("--output", type=pathlib.Path, default=default)
    chosen = parser.parse_args()
    prepare_environment(TOPOLOGY, os.environ)
    import jax

    from jaxaug.core.sharding import make_mesh

    mesh = make_mesh(None, devices_of(TOPOLOGY).devices)
    about = {"command": "python benchmarks/scaling_findings.py", "jax": jax.__version__, "topology": TOPOLOGY}
    found = {part.__name__: part(mesh) for part in (images, isda, tables, displacements)}
    chosen.output.write_text(json.dumps({**about, **found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
