"""The steps of jaxaug as a training makes them, on made-up images and row numbers, for any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaug import defaults, losses, optim, steps
from jaxaug.augment import pipeline
from jaxaug.models.convnet import Model
from jaxaug.objective import make_objective, make_stages
from jaxaug.search import autodo, implicit, rows
from jaxaug.types import Batch, Hyper, TrainState, united

CLASSES, SHAPE = 10, (32, 32, 3)
COUNTS = {"steps_per_epoch": 1000, "epochs": 100}
CHAINS = {
    "plain": (),
    "ours": ("targets.learned_targets", "weights.learned_weights"),
    "released": ("targets.learned_targets", "weights.learned_weights", "targets.divergence"),
}


class Ours:
    """One setting: the loss ("plain" for one that learns nothing), whether each row has an affine policy of its own,
    the rows' optimiser and how many rows there are."""

    def __init__(
        self,
        loss: str = "ours",
        affine: bool = False,
        rule: str = "rmsprop",
        count: int = 10_000,
        widths: tuple[int, ...] = (32, 64, 128),
    ):
        config = defaults.config()
        config.loss.chain, config.search.optim.name = CHAINS[loss], rule
        if loss == "released":
            config.loss.learned_weights.normalise, config.loss.learned_targets.smoothing = "none", 0.05
            config.loss.divergence.symmetric = True
        config.augment.train = ("affine.affine",) if affine else ()
        self.count, self.model = count, Model(CLASSES, widths)
        self.augment, of_augment = pipeline.build(config.augment, (0.5,) * 3, (0.25,) * 3)
        self.chain = losses.build(config.loss)
        self.tx, _ = optim.build(config.optim, **COUNTS)
        self.hyper = united([of_augment, self.chain.hyper(CLASSES)]) if loss != "plain" else Hyper()
        self.rule, self.of_shared = autodo.optimiser(config.search.optim, 100, 100)

    def state(self, batch: int = 64) -> TrainState:
        """A state after two passes of a search over all rows, in batches: each row was seen in the second of them."""
        begun = rows.begin(self.hyper, np.arange(self.count), self.rule.moments, self.of_shared.init({}))
        state = steps.init_state(jax.random.key(0), self.model, self.chain, self.tx, *begun, SHAPE)
        if state.search.seen is None:
            return state
        random, taken = np.random.default_rng(0), -(-self.count // batch)
        seen = jnp.asarray(2 * taken - random.integers(0, taken, len(state.search.seen)), jnp.int32)
        own = jax.tree.map(lambda x: jnp.asarray(0.1 * random.normal(size=x.shape), x.dtype), state.hyper.own)
        moments = jax.tree.map(lambda x: jnp.full_like(x, 1e-4), state.search.moments)
        search = state.search.replace(seen=seen, moments=moments, step=jnp.asarray(2 * taken, jnp.int32))
        return state.replace(hyper=state.hyper.replace(own=own), search=search)

    def train_step(self) -> Callable:
        """step(state, batch, trusted), the trusted rows unused."""
        rule = self.rule if self.hyper.own else None
        step = steps.make_train_step(make_objective(self.model, self.augment, self.chain, **COUNTS), self.tx, rule)
        return lambda state, batch, trusted: step(state, batch)

    def search_step(
        self, direction: implicit.Direction, part: tuple[str, ...] = ("head",), fisher: bool = True
    ) -> Callable:
        """step(state, batch, trusted)."""
        stages = make_stages(self.model, self.augment, self.chain, part, **COUNTS)
        return steps.make_search_step(stages, self.rule, self.of_shared, direction, part=part, fisher=fisher)

    def rows_step(self) -> Callable:
        """step(state, batch, trusted): what a search step does to the rows' numbers alone, for gradients like them."""

        def step(state: TrainState, batch: Batch, trusted: Batch) -> tuple[TrainState, jax.Array]:
            seen = rows.look(self.rule, state.hyper, state.search, batch.index)
            hyper, search = rows.learn(self.rule, state.hyper, state.search, seen, seen[0].own)
            return state.replace(hyper=hyper, search=search), optax.global_norm(seen[0].own)

        return step


def bytes_per_row(ours: Ours) -> float:
    """What a row costs in memory: its numbers, their moments, its index, when it was seen."""
    state = jax.eval_shape(ours.state)
    kept = (state.hyper.own, state.search.moments, state.search.ids, state.search.seen)
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(kept)) / len(state.search.ids)


def batches(count: int, size: int, seed: int = 0) -> Iterator[tuple[Batch, Batch]]:
    """(batch, trusted), endless: few images, but rows anew each time, so that none was seen shortly before."""
    random = np.random.default_rng(seed)
    images = [jnp.asarray(random.integers(0, 256, (size, *SHAPE)), jnp.uint8) for _ in range(4)]

    def one(n: int) -> Batch:
        index = random.choice(count, size, replace=False) if count < 1e5 else random.integers(0, count, size)
        label = jnp.asarray(random.integers(0, CLASSES, size), jnp.int32)
        return Batch(images[n % 4], label, jnp.asarray(index, jnp.int32))

    n = 0
    while True:
        yield one(n), one(n + 1)
        n += 2


def equal(one: Any, other: Any) -> float:
    """The largest difference of two trees over the largest number of the second."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(jnp.abs(a - b).max() / (jnp.abs(b).max() + 1e-30)) for a, b in pairs)
