"""Arms that take turns in one process: compiled once, then timed in rounds whose order is reversed every time."""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax


class Arm:
    """A step that carries its state: step(state, *inputs) -> (state, anything), compiled with the state donated.

    inputs: what each call gets, endless. calls: how many of them a turn has.
    """

    def __init__(self, step: Callable, state: Any, inputs: Iterator[tuple], calls: int = 1):
        self.inputs, self.calls = inputs, calls
        self.state = jax.tree.map(lambda x: x.copy(), state)  # donated: each arm has its own
        begin = time.process_time()
        self.compiled = jax.jit(step, donate_argnums=0).lower(state, *next(inputs)).compile()
        self.report = {"compile_cpu_s": time.process_time() - begin, **_of_program(self.compiled)}
        self.turn()

    def turn(self) -> tuple[float, float]:
        """(CPU, wall) seconds of a call."""
        prepared = [next(self.inputs) for _ in range(self.calls)]
        jax.block_until_ready((self.state, prepared))
        cpu, wall = time.process_time(), time.perf_counter()
        for inputs in prepared:
            self.state, out = self.compiled(self.state, *inputs)
        jax.block_until_ready((self.state, out))
        return (time.process_time() - cpu) / self.calls, (time.perf_counter() - wall) / self.calls


class Calls(Arm):
    """The same for a step that is several compiled calls, one after the other."""

    def __init__(self, step: Callable, state: Any, inputs: Iterator[tuple], calls: int = 1):
        self.inputs, self.calls, self.compiled, self.report = inputs, calls, step, {}
        self.state = jax.tree.map(lambda x: x.copy(), state)
        self.turn()


def _of_program(compiled: Any) -> dict[str, float]:
    """What XLA counts of a program: floating-point operations, bytes of its temporaries and of its state."""
    memory, costs = compiled.memory_analysis(), compiled.cost_analysis()
    return {
        "gigaflop": costs.get("flops", 0.0) / 1e9,
        "temporaries_MB": memory.temp_size_in_bytes / 1e6,
        "donated_MB": memory.alias_size_in_bytes / 1e6,
    }


def race(makers: dict[str, Callable[[], Arm]], rounds: int, against: Callable[[str], dict[str, str]]) -> dict[str, Any]:
    """name -> medians over the rounds: ms of CPU and wall time of a call, and of the ratios of CPU time in a round to
    other arms. against: name -> {key of a ratio: name of the other arm}."""
    arms = {}
    for name, make in makers.items():
        arms[name] = make()
        print(f"  ready: {name}", file=sys.stderr, flush=True)
    gc.collect()
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    begin, load = time.perf_counter(), os.getloadavg()[0]
    for r in range(rounds):
        for name in arms if r % 2 == 0 else reversed(arms):
            took[name].append(arms[name].turn())
    rows = {}
    for name, times in took.items():
        rows[name] = {
            "cpu_ms": 1e3 * statistics.median(cpu for cpu, _ in times),
            "wall_ms": 1e3 * statistics.median(wall for _, wall in times),
            **{
                key: statistics.median(a[0] / b[0] for a, b in zip(times, took[other], strict=True))
                for key, other in against(name).items()
            },
            **arms[name].report,
            "rounds_cpu_ms": [round(1e3 * cpu, 3) for cpu, _ in times],
        }
    wall, cpu = (sum(turn[i] for times in took.values() for turn in times) for i in (1, 0))
    told = {"seconds": time.perf_counter() - begin, "load_before": load, "load_after": os.getloadavg()[0]}
    return {"arms": rows, "measuring": {**told, "share_of_the_core": cpu / wall}}
