"""What pixel ISDA costs on top of plain cross-entropy: a head of 19 classes on 512 features at 2 x 97 x 97 pixels, one
device's share of the Cityscapes recipe (two crops of 769 x 769 at output stride 8).

    python benchmarks/pixel_isda.py [--rounds 11] [--output benchmarks/results/pixel_isda_cpu.json]

Both arms are forward, backward (features, kernel, bias) and, for ISDA, the update of the statistics, as jitted calls of
one process that take turns in an order that is reversed every round. Reported: medians of processor and wall time,
their ratios, and by XLA's memory analysis what a call holds besides its inputs: temporaries, and outputs that take no
input's place (the gradients). "crops" brings the logits to 769 x 769 first, as the training does; "pixels" has labels
as coarse as the logits, so that nothing but the head is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time

IMAGES, SIDE, CLASSES, DEPTH = 2, 97, 19, 512
VOID = 0.1  # the share of pixels without a class
CASES = {"pixels": (97, {}), "pixels, full covariance": (97, {"covariance": "full"}), "crops": (769, {})}
ARMS = ("cross_entropy", "pixel_isda")


def build(arm, size, options):
    """(function(state, features, kernel, bias, label) -> (state, loss, gradients), its arguments)."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxaug import losses
    from jaxaug.core.types import Batch, ModelOutput, Progress
    from jaxaug.tasks import Segmentation

    chain = losses.create(() if arm == "cross_entropy" else ({"name": "pixel_isda", **options},))
    task = Segmentation()

    def loss(features, kernel, bias, state, label):
        output = ModelOutput(features, features @ kernel + bias, kernel, bias)
        batch = Batch(jnp.zeros((*label.shape, 0)), label, jnp.arange(len(label)))
        inputs = task.loss_inputs(output, batch, {}, Progress(jnp.asarray(0.5), jnp.asarray(0.5)))
        state, inputs = chain.apply(state, inputs)
        return losses.mean_loss(inputs), state

    def call(state, features, kernel, bias, label):
        (value, state), grads = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
            features, kernel, bias, state, label
        )
        return state, value, grads

    rng = np.random.default_rng(0)
    features = jnp.asarray(np.abs(rng.normal(size=(IMAGES, SIDE, SIDE, DEPTH))), jnp.float32)
    kernel = jnp.asarray(rng.uniform(-1, 1, (DEPTH, CLASSES)) / DEPTH**0.5, jnp.float32)
    label = rng.integers(0, CLASSES, (IMAGES, size, size))
    label = jnp.asarray(np.where(rng.random(label.shape) < VOID, -1, label), jnp.int32)
    arguments = (chain.init(CLASSES, DEPTH), features, kernel, jnp.zeros(CLASSES), label)
    return jax.jit(call, donate_argnums=0), arguments


def memory_of(function, arguments):
    """Bytes that a call holds besides its inputs, by XLA."""
    found = function.lower(*arguments).compile().memory_analysis()
    return {
        "temporaries_GB": found.temp_size_in_bytes / 1e9,
        "outputs_GB": (found.output_size_in_bytes - found.alias_size_in_bytes) / 1e9,
        "inputs_GB": found.argument_size_in_bytes / 1e9,
    }


def measure(size, options, rounds):
    """arm -> its figures."""
    import jax

    functions, states, memory, seconds = {}, {}, {}, {arm: [] for arm in ARMS}
    for arm in ARMS:
        functions[arm], arguments = build(arm, size, options)
        memory[arm] = memory_of(functions[arm], arguments)
        states[arm], *rest = arguments
        states[arm], value, _ = jax.block_until_ready(functions[arm](states[arm], *rest))
        memory[arm]["loss"] = float(value)
    for number in range(rounds):
        for arm in ARMS if number % 2 == 0 else reversed(ARMS):
            cpu, wall = time.process_time(), time.perf_counter()
            states[arm], *_ = jax.block_until_ready(functions[arm](states[arm], *rest))
            seconds[arm].append((time.process_time() - cpu, time.perf_counter() - wall))
    of = {arm: [1e3 * statistics.median(one[i] for one in seconds[arm]) for i in range(2)] for arm in ARMS}
    plain = of[ARMS[0]]
    return {
        arm: {
            "cpu_ms": of[arm][0],
            "wall_ms": of[arm][1],
            "times_cross_entropy_cpu": of[arm][0] / plain[0],
            "times_cross_entropy_wall": of[arm][1] / plain[1],
            "peak_over_inputs_GB": memory[arm]["temporaries_GB"] + memory[arm]["outputs_GB"],
            **memory[arm],
        }
        for arm in ARMS
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--output", default="")
    arguments = parser.parse_args()
    import jax

    result = {
        "command": f"python benchmarks/pixel_isda.py --rounds {arguments.rounds}",
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPU cores, {jax.devices()[0].device_kind}",
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
        "pixels": IMAGES * SIDE**2,
        "classes": CLASSES,
        "features": DEPTH,
        "cases": {},
    }
    for case, (size, options) in CASES.items():
        result["cases"][case] = rows = measure(size, options, arguments.rounds)
        for arm, row in rows.items():
            print(
                f"{case:24s} {arm:14s} {row['cpu_ms']:8.1f} ms CPU {row['wall_ms']:8.1f} ms  "
                f"{row['times_cross_entropy_cpu']:5.2f} x CPU, {row['times_cross_entropy_wall']:5.2f} x wall  "
                f"{row['peak_over_inputs_GB']:.3f} GB over inputs  loss {row['loss']:.6f}"
            )
    if arguments.output:
        with open(arguments.output, "w") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
