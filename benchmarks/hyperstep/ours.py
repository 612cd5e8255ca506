"""The steps of jaxaug as a training makes them, on made-up images and row numbers, for any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaug import losses
from jaxaug.augment import compose
from jaxaug.bilevel.hypergradient import IHVPSolver
from jaxaug.bilevel.per_example import gather_rows, init_per_example, scatter_update
from jaxaug.core.types import Batch, MetaParams, TrainState, merge_meta_params
from jaxaug.models.convnet import Model
from jaxaug.optim import optimizers
from jaxaug.search import autodo
from jaxaug.train.config import default_config
from jaxaug.train.objective import make_bilevel_problem, make_objective
from jaxaug.train.step import init_state, make_search_step, make_train_step

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
        config = default_config()
        config.loss.chain, config.search.optim.name = CHAINS[loss], rule
        if loss == "released":
            config.loss.learned_weights.normalise, config.loss.learned_targets.smoothing = "none", 0.05
            config.loss.divergence.symmetric = True
        config.augment.train = ("affine.affine",) if affine else ()
        self.count, self.model = count, Model(CLASSES, widths)
        self.augment, augment_key = compose.build_pipeline(config.augment, (0.5,) * 3, (0.25,) * 3)
        self.chain = losses.build_chain(config.loss)
        self.tx, _ = optimizers.create(config.optim, **COUNTS)
        self.meta = merge_meta_params([augment_key, self.chain.meta(CLASSES)]) if loss != "plain" else MetaParams()
        self.rule, self.of_shared = autodo.optimiser(config.search.optim, 100, 100)

    def state(self, batch: int = 64) -> TrainState:
        """A state after two passes of a search over all rows, in batches: each row was seen in the second of them."""
        begun = init_per_example(self.meta, np.arange(self.count), self.rule.moments, self.of_shared.init({}))
        state = init_state(jax.random.key(0), self.model, self.chain, self.tx, *begun, SHAPE)
        if state.search.seen is None:
            return state
        random, taken = np.random.default_rng(0), -(-self.count // batch)
        seen = jnp.asarray(2 * taken - random.integers(0, taken, len(state.search.seen)), jnp.int32)
        own = jax.tree.map(lambda x: jnp.asarray(0.1 * random.normal(size=x.shape), x.dtype), state.meta.per_example)
        moments = jax.tree.map(lambda x: jnp.full_like(x, 1e-4), state.search.moments)
        search = state.search.replace(seen=seen, moments=moments, step=jnp.asarray(2 * taken, jnp.int32))
        return state.replace(meta=state.meta.replace(per_example=own), search=search)

    def train_step(self) -> Callable:
        """step(state, batch, trusted), the trusted rows unused."""
        rule = self.rule if self.meta.per_example else None
        step = make_train_step(make_objective(self.model, self.augment, self.chain, **COUNTS), self.tx, rule)
        return lambda state, batch, trusted: step(state, batch)

    def search_step(self, direction: IHVPSolver, part: tuple[str, ...] = ("head",), fisher: bool = True) -> Callable:
        """step(state, batch, trusted)."""
        stages = make_bilevel_problem(self.model, self.augment, self.chain, part, **COUNTS)
        return make_search_step(stages, self.rule, self.of_shared, direction, part=part, fisher=fisher)

    def rows_step(self) -> Callable:
        """step(state, batch, trusted): what a search step does to the rows' numbers alone, for gradients like them."""

        def step(state: TrainState, batch: Batch, trusted: Batch) -> tuple[TrainState, jax.Array]:
            seen = gather_rows(self.rule, state.meta, state.search, batch.index)
            meta, search = scatter_update(self.rule, state.meta, state.search, seen, seen[0].per_example)
            return state.replace(meta=meta, search=search), optax.global_norm(seen[0].per_example)

        return step


def bytes_per_row(ours: Ours) -> float:
    """What a row costs in memory: its numbers, their moments, its index, when it was seen."""
    state = jax.eval_shape(ours.state)
    kept = (state.meta.per_example, state.search.moments, state.search.ids, state.search.seen)
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
