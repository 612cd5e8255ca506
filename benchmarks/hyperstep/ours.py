"""The steps of jaxaug as a training makes them, on made-up images and row numbers, for any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaug import losses, optim
from jaxaug.augment import affine as affine_policies
from jaxaug.augment import build_pipeline
from jaxaug.bilevel import IHVPSolver, gather_rows, init_per_example, scatter_update
from jaxaug.core.types import Batch, TrainState, merge_meta_params
from jaxaug.models.convnet import ConvNet
from jaxaug.search.autodo import make_search_step
from jaxaug.search.base import create_meta_optimizer
from jaxaug.tasks import Classification
from jaxaug.train.objective import Parts, make_bilevel_problem, make_objective
from jaxaug.train.step import init_state, make_train_step

CLASSES, SHAPE = 10, (32, 32, 3)
COUNTS = {"steps_per_epoch": 1000, "epochs": 100}
CHAINS: dict[str, tuple[Any, ...]] = {
    "plain": (),
    "ours": ("learned_targets", "learned_weights"),
    "released": (
        {"name": "learned_targets", "smoothing": 0.05},
        {"name": "learned_weights", "normalize": "none"},
        {"name": "kl_divergence", "symmetric": True},
    ),
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
        self.count = count
        transforms = [affine_policies(learned="per_row")] if affine else []
        augment, learned_meta = build_pipeline(transforms, mean=(0.5,) * 3, std=(0.25,) * 3)
        chain = losses.create(CHAINS[loss])
        assert chain.meta is not None
        self.parts = Parts(Classification(), ConvNet(CLASSES, widths), augment, chain, **COUNTS)
        self.tx, _ = optim.create("sgd", **COUNTS)
        self.meta = merge_meta_params([learned_meta, chain.meta(CLASSES)])
        self.rule, self.of_shared = create_meta_optimizer(rule, per_pass=100, passes=100)

    def state(self, batch: int = 64) -> TrainState:
        """A state after two passes of a search over all rows, in batches: each row was seen in the second of them."""
        begun = init_per_example(self.meta, np.arange(self.count), self.rule.moments, self.of_shared.init({}))
        class_counts = jnp.full(CLASSES, self.count / CLASSES)
        state = init_state(jax.random.key(0), self.parts, self.tx, *begun, SHAPE, class_counts)
        search = state.search_state
        if search.last_step is None:
            return state
        random, taken = np.random.default_rng(0), -(-self.count // batch)
        last_step = jnp.asarray(2 * taken - random.integers(0, taken, len(search.last_step)), jnp.int32)
        own = jax.tree.map(lambda x: jnp.asarray(0.1 * random.normal(size=x.shape), x.dtype), state.meta.per_example)
        moments = jax.tree.map(lambda x: jnp.full_like(x, 1e-4), search.moments)
        search = search.replace(last_step=last_step, moments=moments, step=jnp.asarray(2 * taken, jnp.int32))
        return state.replace(meta=state.meta.replace(per_example=own), search_state=search)

    def train_step(self) -> Callable:
        """step(state, batch, validation), the validation rows unused."""
        rule = self.rule if self.meta.per_example else None
        step = make_train_step(make_objective(self.parts), self.tx, rule)
        return lambda state, batch, validation: step(state, batch)

    def search_step(self, solver: IHVPSolver, part: tuple[str, ...] = ("head",), fisher: bool = True) -> Callable:
        """step(state, batch, validation)."""
        problem = make_bilevel_problem(self.parts, part)
        return make_search_step(problem, self.rule, self.of_shared, solver, fisher=fisher)

    def rows_step(self) -> Callable:
        """step(state, batch, validation): what a search step does to the rows' numbers alone, gradients like them."""

        def step(state: TrainState, batch: Batch, validation: Batch) -> tuple[TrainState, jax.Array]:
            rows = gather_rows(self.rule, state.meta, state.search_state, batch.index)
            own = rows.meta.per_example
            meta, search = scatter_update(self.rule, state.meta, state.search_state, rows, own)
            return state.replace(meta=meta, search_state=search), optax.global_norm(own)

        return step


def bytes_per_row(ours: Ours) -> float:
    """What a row costs in memory: its numbers, their moments, its index, when it was seen."""
    state = jax.eval_shape(ours.state)
    search = state.search_state
    kept = (state.meta.per_example, search.moments, search.ids, search.last_step)
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(kept)) / len(search.ids)


def batches(count: int, size: int, seed: int = 0) -> Iterator[tuple[Batch, Batch]]:
    """(batch, validation rows), endless: few images, but rows anew each time, so that none was seen shortly before."""
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
