"""What ISDA costs on top of a classifier: forward + backward + statistics, beside plain cross-entropy and the
direct formulation (the one the papers' code writes down: B x K x D differences, a D x D matrix per row).

    python benchmarks/isda.py [--rounds 5] [--output benchmarks/results/isda.json]

Each arm lives in a process of its own, so that its peak memory is its own; the processes take turns, in an order that
is reversed every round, so that other load on the machine falls on all alike. Reported: the median CPU time of a call,
its ratio to plain cross-entropy and to the direct form, and the peak memory over inputs and state.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import time

CASES = {
    # rows, classes, features, covariance, lambda
    "diagonal B=256 K=1000 D=2048 (ImageNet, ResNet-50)": (256, 1000, 2048, "diagonal", 7.5),
    "full B=128 K=100 D=640 (CIFAR-100, WRN-28-10)": (128, 100, 640, "full", 0.5),
    "full B=128 K=10 D=640 (CIFAR-10, WRN-28-10)": (128, 10, 640, "full", 0.5),
    "diagonal B=128 K=100 D=640": (128, 100, 640, "diagonal", 2.5),
}
ARMS = ("cross_entropy", "jaxaug", "direct")


def direct_loss(kind, strength):
    """ISDA as the papers' code formulates it, under jit: the peer, kept out of the package."""
    import jax
    import jax.numpy as jnp

    def loss(features, weight, bias, labels, state):
        count, mean, covariance = state
        fixed = jax.lax.stop_gradient(features)
        one_hot = jax.nn.one_hot(labels, len(weight))
        rows = fixed[:, None, :] * one_hot[:, :, None]
        batch_count = one_hot.sum(0)
        batch_mean = rows.sum(0) / jnp.maximum(batch_count, 1)[:, None]
        centered = (fixed[:, None, :] - batch_mean[None]) * one_hot[:, :, None]
        w = batch_count / jnp.maximum(batch_count + count, 1)
        drift = mean - batch_mean
        divisor = jnp.maximum(batch_count, 1)
        if kind == "full":
            v = jnp.einsum("nka,nkb->kab", centered, centered) / divisor[:, None, None]
            outer, w_ = drift[:, :, None] * drift[:, None, :], w[:, None, None]
        else:
            v, outer, w_ = (centered**2).sum(0) / divisor[:, None], drift**2, w[:, None]
        covariance = (1 - w_) * covariance + w_ * v + w_ * (1 - w_) * outer
        mean = (1 - w[:, None]) * mean + w[:, None] * batch_mean
        difference = weight[None] - weight[labels][:, None]
        if kind == "full":
            product = jnp.einsum("nka,nab->nkb", difference, covariance[labels])
            square = jnp.einsum("nkb,njb->nkj", product, difference)
            sigma2 = strength * jnp.einsum("nkk->nk", square)
        else:
            sigma2 = strength * (difference**2 * covariance[labels][:, None]).sum(-1)
        logits = features @ weight.T + bias + 0.5 * sigma2
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
        return -picked.mean(), (count + batch_count, mean, covariance)

    return loss


def build(case, arm):
    """(jitted call, inputs): call(state, features, weight, bias, labels) -> (state, loss, gradients)."""
    import jax

    from jaxaug import losses

    rows, classes, depth, kind, strength = CASES[case]
    transform = losses.chain() if arm == "cross_entropy" else losses.isda(strength, kind, schedule="constant")

    def ours(features, kernel, bias, labels, state):
        logits = features @ kernel + bias
        return losses.apply(transform, state, features=features, logits=logits, kernel=kernel, bias=bias, labels=labels)

    loss = direct_loss(kind, strength) if arm == "direct" else ours

    def call(state, features, weight, bias, labels):
        (value, state), grads = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
            features, weight, bias, labels, state
        )
        return state, value, grads

    state = transform.init(classes, depth)
    if arm == "direct":
        state = (state.count, state.mean, state.covariance)
    return jax.jit(call, donate_argnums=0), state, batches(rows, classes, depth, kernel_first=arm != "direct")


def batches(rows, classes, depth, kernel_first):
    """Four batches (features, weight, bias, labels); the weight in the layout that each formulation is written for."""
    import jax.numpy as jnp
    import numpy as np

    rng = np.random.default_rng(0)
    weight = rng.uniform(-1, 1, (classes, depth)).astype(np.float32) / depth**0.5
    weight = jnp.asarray(weight.T if kernel_first else weight)
    drawn = [(np.abs(rng.normal(size=(rows, depth))), rng.integers(0, classes, rows)) for _ in range(4)]
    return [(jnp.asarray(f, jnp.float32), weight, jnp.zeros(classes), jnp.asarray(y, jnp.int32)) for f, y in drawn]


def worker(case, arm, calls, pipe):
    """Run on demand: every message is answered with the CPU and wall seconds of one call."""
    import jax

    function, state, inputs = build(case, arm)
    jax.block_until_ready((state, inputs))
    resident = current_memory()
    for batch in inputs:
        state, loss, grads = function(state, *batch)
    jax.block_until_ready((state, grads))
    losses_seen = [float(loss)]
    pipe.send({"memory": peak_memory() - resident})
    while pipe.recv() == "go":
        cpu, wall = time.process_time(), time.perf_counter()
        for i in range(calls):
            state, loss, grads = function(state, *inputs[i % len(inputs)])
        jax.block_until_ready((state, loss, grads))
        losses_seen.append(float(loss))
        pipe.send(((time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls, losses_seen))


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def current_memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(case, rounds):
    """One row for each arm."""
    context = multiprocessing.get_context("spawn")
    workers = {}
    for arm in ARMS:
        here, there = context.Pipe()
        calls = 1 if arm == "direct" else 4
        process = context.Process(target=worker, args=(case, arm, calls, there), daemon=True)
        process.start()
        workers[arm] = (here, process, here.recv())
    seconds = {arm: [] for arm in ARMS}
    for r in range(rounds):
        for arm in ARMS if r % 2 == 0 else reversed(ARMS):
            here = workers[arm][0]
            here.send("go")
            seconds[arm].append(here.recv())
    for here, process, _ in workers.values():
        here.send("stop")
        process.join()
    cpu = {arm: statistics.median(s[0] for s in rows) for arm, rows in seconds.items()}
    return {
        arm: {
            "cpu_ms": 1e3 * cpu[arm],
            "wall_ms": 1e3 * statistics.median(s[1] for s in seconds[arm]),
            "times_cross_entropy": cpu[arm] / cpu["cross_entropy"],
            "direct_over_this": cpu["direct"] / cpu[arm],
            "peak_memory_over_inputs_MB": workers[arm][2]["memory"] / 1e6,
            "loss_after_first_batches": seconds[arm][0][2][0],
        }
        for arm in ARMS
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", default="")
    arguments = parser.parse_args()
    import jax

    result = {
        "command": f"python benchmarks/isda.py --rounds {arguments.rounds}",
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
        "cases": {},
    }
    for case in CASES:
        result["cases"][case] = rows = measure(case, arguments.rounds)
        print(case)
        for arm, row in rows.items():
            print(
                f"  {arm:14s} {row['cpu_ms']:9.1f} ms CPU  {row['times_cross_entropy']:8.2f} x cross-entropy  "
                f"{row['direct_over_this']:7.1f} x less than direct  "
                f"{row['peak_memory_over_inputs_MB']:7.0f} MB  loss {row['loss_after_first_batches']:.6f}"
            )
    if arguments.output:
        with open(arguments.output, "w") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
