"""DeepAA's update as `jaxaug` makes it, its pieces, its augmentation alone and its network alone, on made-up images."""

from __future__ import annotations

import pathlib
import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import repeat
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperstep.clock import Arm, Calls
from jaxaug.augment.policy_transform import augment_batch, execution_settings
from jaxaug.core.types import Batch
from jaxaug.models import create, replace_arrays, without_norms
from jaxaug.search.deepaa import update
from jaxaug.search.deepaa.plan import DeepAASearch
from jaxaug.train.config import default_config
from jaxaug.train.experiment import build_experiment

CLASSES, SHAPE = 10, (32, 32, 3)
LAYER = {"first": 0, "later": 1, "all": 1}  # name of an update -> number of the layer that it is given


class Ours:
    """A network and a search of two layers with `options` of "deepaa", after a training of no steps.

    The policy is uniform: every draw has something to do, while at the beginning most are Identity.
    """

    def __init__(self, network: str, depth: int, widen_factor: int, options: dict[str, int]):
        config = default_config()
        config.model = {"name": network, "depth": depth, "widen_factor": widen_factor}
        config.search = {"name": "deepaa", "num_layers": 2, "updates": 1, **options}
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "images.npz"
            np.savez(path, **_arrays(2000))
            config.data.update(name="npz", path=str(path))
            experiment = build_experiment(config)
        assert isinstance(experiment.search, DeepAASearch)
        self.search = experiment.search
        self.rows = jax.tree.map(jnp.asarray, (self.search.item_rows, self.search.validation_rows))
        self.model = create(**config.model.to_dict(), num_classes=CLASSES)
        self.net = jax.jit(experiment.init)(experiment.key).replace(opt_state=())
        self.theta = without_norms(self.net.params)
        self.branches = self.search.space.op.shape[2]
        state = self.search.begin(jax.random.key(0))
        self.state = state.replace(logits=jnp.zeros_like(state.logits))

    def numbers(self) -> dict[str, int]:
        """How many numbers the gradient has, and all parameters."""
        trees = {"in_the_gradient": self.theta, "parameters": self.net.params}
        return {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in trees.items()}

    def updated(self, stage: str, state: Any) -> tuple[Any, Any]:
        """An update by `DeepAASearch.update_functions`, its rows chosen and placed as `search_policy` does."""
        chosen = jax.tree.map(jnp.asarray, self.search.chosen(int(state.step)))
        number = jnp.asarray(LAYER[stage], jnp.int32)
        state, *out = self.search.update_functions[stage](state, number, self.net, *self.rows, chosen)
        return state, out

    def update(self, stage: str) -> Arm:
        return Calls(lambda state: self.updated(stage, state), self.state, repeat(()))

    def floor(self, stage: str) -> Arm:
        """The network alone on images that are ready: as many gradients and derivatives along a direction."""
        random, calls, flops = np.random.default_rng(0), [], 0.0
        # Not theta itself, whose convolutions XLA would then make once for the value and the derivative.
        direction = jax.tree.map(jnp.ones_like, self.theta)
        for function, size, count in self._batches(stage):
            images = [jnp.asarray(random.normal(size=(size, *SHAPE)), jnp.float32) for _ in range(self.search.images)]
            label = jnp.asarray(random.integers(0, CLASSES, size), jnp.int32)
            compiled = jax.jit(function).lower(self.theta, direction, images[0], label).compile()
            flops += compiled.cost_analysis()["flops"] * count * len(images)
            calls += [(compiled, image, label) for image in images] * count

        def step(theta: Any) -> tuple[Any, Any]:
            return theta, [compiled(theta, direction, image, label) for compiled, image, label in calls]

        arm = Calls(step, self.theta, repeat(()))
        arm.report = {"gigaflop": flops / 1e9}
        return arm

    def augmentation(self, stage: str) -> Arm:
        """The images of an update and nothing else: as many draws of as many layers."""
        o, image = self.search, self.rows[0].image[:1]

        def images(layers: int, count: int) -> Callable:
            policy, zeros = self.search.space.with_layers(layers), jnp.zeros(count, jnp.int32)
            batch = Batch(jnp.concatenate([image] * count), zeros, zeros)
            settings = execution_settings(policy, True, "auto")
            return jax.jit(lambda key: augment_batch(key, batch, policy, settings).image)

        every, sampled = images(1, self.branches * o.chunk), images(2, self.branches)
        before, rounds = images(2, o.chunk), o.copies // o.chunk
        calls = {
            "first": [every, every],
            "later": [sampled] * o.factor + [before, every] * rounds,
            "all": [sampled] * (o.factor + o.copies),
        }[stage]

        def step(key: jax.Array) -> tuple[jax.Array, Any]:
            return key, [call(key) for call in calls * o.images]

        return Calls(step, jax.random.key(1), repeat(()), calls=5)

    def _batches(self, stage: str) -> list[tuple[Callable, int, int]]:
        """(what is done with it, size of a batch, how often) of an item."""
        o = self.search
        chunk = o.chunk if stage == "later" else 1
        drawn, copies = (1, 1) if stage == "first" else (o.factor, o.copies)
        forward_mode = (self._along, self.branches * chunk, copies // chunk)
        return [(self._gradient, o.validation, 1), (self._gradient, self.branches, drawn), forward_mode]

    def _rows(self, theta: Any, image: jax.Array, label: jax.Array) -> jax.Array:
        variables = {"params": replace_arrays(self.net.params, theta), "batch_stats": self.net.model_state}
        _, logits = self.model.apply(variables, image, train=False)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], axis=1)[:, 0]

    def _gradient(self, theta: Any, direction: Any, image: jax.Array, label: jax.Array) -> Any:
        return jax.grad(lambda theta: self._rows(theta, image, label).mean())(theta)

    def _along(self, theta: Any, direction: Any, image: jax.Array, label: jax.Array) -> jax.Array:
        return jax.jvp(lambda theta: self._rows(theta, image, label), (theta,), (direction,))[1]


class Taken:
    """An update of each of the stages taken apart: name of a jitted piece -> what makes an arm of it; and how often
    each is called."""

    def __init__(self, stages: tuple[str, ...], *setting: Any):
        self.arms: dict[str, Callable[[], Arm]] = {}
        self.counts: dict[str, dict[str, int]] = {}
        whole = update.CALLED
        update.CALLED = whole._replace(compiled=self._compiled)
        try:
            self.ours = Ours(*setting)
        finally:
            update.CALLED = whole
        for stage in stages:
            self._count: Counter[str] = Counter()
            self.ours.updated(stage, self.ours.state)
            self.counts[stage] = dict(self._count)

    def _compiled(self, function: Callable) -> Callable:
        name, made = getattr(function, "func", function).__name__, []

        def call(*inputs: Any) -> Any:
            if not made:
                made.append(jax.jit(function).lower(*inputs).compile())
                self.arms[name] = lambda: _Piece(made[0], inputs)
            self._count[name] += 1
            return made[0](*inputs)

        return call


class _Piece(Arm):
    """A compiled piece with what it was given; it was warm once the update had been made."""

    def __init__(self, compiled: Any, given: tuple):
        self.inputs, self.calls, self.state = repeat(()), 1, jnp.zeros(())
        self.compiled = lambda nothing: (nothing, compiled(*given))
        costs, memory = compiled.cost_analysis(), compiled.memory_analysis()
        self.report = {"gigaflop": costs.get("flops", 0.0) / 1e9, "temporaries_MB": memory.temp_size_in_bytes / 1e6}


def _arrays(rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    found = {}
    for split in ("train", "validation"):
        found[f"{split}_image"] = random.integers(0, 256, (rows, *SHAPE), np.uint8)
        found[f"{split}_label"] = np.arange(rows) % CLASSES
    return found
