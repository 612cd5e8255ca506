"""Numbers of every training row, and their optimiser: a step costs what its batch costs, however many rows there are.

A row that is not in the batch has no gradient. An optimiser over all rows would still let its moments decay, and with
momentum move it on; here that is made up for when the row is next gathered, from the number of steps it missed. So
the numbers are those of the dense optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from jaxaug.core.types import MetaParams, Tree

LEAST_MOTION = 1e-8  # of its first missed step; with less Adam's further motion of a row is left out
PADDING = jnp.iinfo(jnp.int32).max

Rate = float | Callable[[jax.Array], Any]  # one number, or the step, from 0 -> the learning rate


class SearchState(flax.struct.PyTreeNode):
    """What a search keeps besides the `MetaParams`.

    Attributes:
      step: [] int32, search steps taken.
      ids: [N] int32, ascending: the `index` of the training rows, filled up at the end so that devices divide N; None
        where rows have nothing of their own.
      last_step: [N] int32, the number of steps a row is up to date with; None where ids are.
      moments: a tuple of trees like `MetaParams.per_example`.
      shared: optax state of `MetaParams.shared`.
    """

    step: jax.Array
    ids: jax.Array | None
    last_step: jax.Array | None
    moments: tuple[Tree, ...]
    shared: Tree


class SparseRule(NamedTuple):
    """An elementwise optimiser with steps that can be made up for; trees of [B ...], step counts from 0.

    Attributes:
      moments: how many trees it keeps.
      skip: (values, moments, missed [B], now []) -> (values, moments) after `missed` steps without a gradient that
        ended before step `now`.
      update: (values, moments, gradients, now []) -> (values, moments).
    """

    moments: int
    skip: Callable[[Tree, tuple, jax.Array, jax.Array], tuple[Tree, tuple]]
    update: Callable[[Tree, tuple, Tree, jax.Array], tuple[Tree, tuple]]


class GatheredRows(NamedTuple):
    """Some rows of a search, up to date.

    Attributes:
      meta: their numbers [B ...], and what all rows share.
      moments: theirs, [B ...].
      position: [B] int32, where they lie among all rows.
    """

    meta: MetaParams
    moments: tuple[Tree, ...]
    position: jax.Array


def sparse_rmsprop(rate: Rate, *, decay: float = 0.99, eps: float = 1e-8) -> SparseRule:
    """RMSprop without momentum, as optax.rmsprop(eps_in_sqrt=False). A missed step moves nothing.

    Args:
      rate: the learning rate, or the step, from 0 -> the learning rate.
      decay: the share of the mean of the squares that a step keeps.
      eps: is added to the root of the squares.
    """

    at = _schedule(rate)

    def skip(values: Tree, moments: tuple, missed: jax.Array, now: jax.Array) -> tuple[Tree, tuple]:
        return values, (_scaled(moments[0], decay ** missed.astype(float)),)

    def update(values: Tree, moments: tuple, gradients: Tree, now: jax.Array) -> tuple[Tree, tuple]:
        squares = jax.tree.map(lambda n, g: decay * n + (1 - decay) * g * g, moments[0], gradients)
        step = jax.tree.map(lambda g, n: at(now) * g / (jnp.sqrt(n) + eps), gradients, squares)
        return jax.tree.map(jnp.subtract, values, step), (squares,)

    return SparseRule(1, skip, update)


def sparse_adam(rate: Rate, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> SparseRule:
    """Adam (Kingma and Ba 2015), as optax.adam. A missed step moves a row on by its fading momentum.

    Args:
      rate: the learning rate, or the step, from 0 -> the learning rate.
      b1: the share of the mean of the gradients that a step keeps.
      b2: the share of the mean of their squares that a step keeps.
      eps: is added to the root of the squares.
    """
    at, reach = _schedule(rate), _reach(b1, b2)

    def moved(values: Tree, means: Tree, squares: Tree, now: jax.Array) -> Tree:
        done = (now + 1).astype(float)
        by_mean, by_square = 1 - b1**done, 1 - b2**done

        def one(value: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            return value - at(now) * (m / by_mean) / (jnp.sqrt(v / by_square) + eps)

        return jax.tree.map(one, values, means, squares)

    def skip(values: Tree, moments: tuple, missed: jax.Array, now: jax.Array) -> tuple[Tree, tuple]:
        # Every row begins with its own first missed step; those that missed fewer wait.
        first, last = now - missed, jnp.minimum(jnp.max(missed, initial=0), reach)

        def one(i: jax.Array, values: Tree) -> Tree:
            faded = [_scaled(m, jnp.full(missed.shape, b ** (i + 1.0))) for m, b in zip(moments, (b1, b2), strict=True)]
            after = jax.tree.map(lambda x, m, v: _row_by_row(moved, x, m, v, first + i), values, *faded)
            return jax.tree.map(lambda a, b: jnp.where(_like(i < missed, b), a, b), after, values)

        values = jax.lax.fori_loop(0, last, one, values)
        gone = missed.astype(float)
        return values, tuple(_scaled(m, b**gone) for m, b in zip(moments, (b1, b2), strict=True))

    def update(values: Tree, moments: tuple, gradients: Tree, now: jax.Array) -> tuple[Tree, tuple]:
        means = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, moments[0], gradients)
        squares = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, moments[1], gradients)
        return moved(values, means, squares, now), (means, squares)

    return SparseRule(2, skip, update)


def sparse_normalized_sgd(rate: Rate, *, eps: float = 1e-12) -> SparseRule:
    """Gradient descent in steps whose root mean square over the rows of a search step is the rate.

    RMSprop and Adam divide each row's gradient by its own size, so that a row of which the validation rows say little
    moves as far as one of which they say much; here it moves less by as much. A missed step moves nothing.

    Args:
      rate: the learning rate, or the step, from 0 -> the learning rate.
      eps: is added to the root of the mean of the squares.
    """

    at = _schedule(rate)

    def skip(values: Tree, moments: tuple, missed: jax.Array, now: jax.Array) -> tuple[Tree, tuple]:
        return values, ()

    def update(values: Tree, moments: tuple, gradients: Tree, now: jax.Array) -> tuple[Tree, tuple]:
        def moved(value: jax.Array, gradient: jax.Array) -> jax.Array:
            return value - at(now) * gradient / (jnp.sqrt(jnp.mean(gradient**2)) + eps)

        return jax.tree.map(moved, values, gradients), ()

    return SparseRule(0, skip, update)


def init_per_example(
    meta: MetaParams, ids: Any, num_moments: int, shared: Tree = (), multiple: int = 1
) -> tuple[MetaParams, SearchState]:
    """The numbers of all rows, from what every row begins with.

    Args:
      meta: what every row begins with, without the axis of rows, and what all share.
      ids: [N] int32, the `index` of the rows, each once, in any order.
      num_moments: how many moments the rule keeps (`SparseRule.moments`).
      shared: optax state of `meta.shared`.
      multiple: of devices. Rows are added at the end until it divides their number, and so do 128, so that a
        checkpoint fits any usual number of devices. No row of the data has their id.

    Returns:
      (meta with an entry for each row, state).
    """
    if not meta.per_example:
        return meta, SearchState(jnp.zeros((), jnp.int32), None, None, ({},) * num_moments, shared)
    ids = jnp.sort(jnp.asarray(ids, jnp.int32))
    multiple = math.lcm(multiple, 128)
    rows = -(-len(ids) // multiple) * multiple
    ids = jnp.pad(ids, (0, rows - len(ids)), constant_values=PADDING)
    own = jax.tree.map(lambda x: jnp.broadcast_to(x, (rows, *jnp.shape(x))), meta.per_example)
    moments = tuple(jax.tree.map(jnp.zeros_like, own) for _ in range(num_moments))
    state = SearchState(jnp.zeros((), jnp.int32), ids, jnp.zeros_like(ids), moments, shared)
    return MetaParams(own, meta.shared), state


def gather_rows(rule: SparseRule | None, meta: MetaParams, search: SearchState, index: jax.Array) -> GatheredRows:
    """The rows with these indices, up to date with the step of the search.

    Args:
      rule: what moves them; None where nothing is learned.
      meta: of all rows.
      search: its state.
      index: [B] int32, `Batch.index`.
    """
    if search.ids is None or search.last_step is None:
        return GatheredRows(meta, (), index)
    at = jnp.searchsorted(search.ids, index)
    own, moments = jax.tree.map(lambda x: x[at], (meta.per_example, search.moments))
    if rule is not None:
        own, moments = rule.skip(own, moments, search.step - search.last_step[at], search.step)
    return GatheredRows(meta.replace(per_example=own), moments, at)


def scatter_update(
    rule: SparseRule, meta: MetaParams, search: SearchState, rows: GatheredRows, gradient: Tree
) -> tuple[MetaParams, SearchState]:
    """The gathered rows, changed by their gradient, put back; the step is counted.

    Args:
      rule: what moves them.
      meta: of all rows.
      search: its state.
      rows: what `gather_rows` gave for this meta and state.
      gradient: a tree like `rows.meta.per_example`, [B ...].

    Returns:
      (meta, search) after the step. What all rows share is as it was.
    """
    at = rows.position
    after = search.step + 1
    if search.last_step is None:
        return meta, search.replace(step=after)
    values, moments = rule.update(rows.meta.per_example, rows.moments, gradient, search.step)
    own, kept = jax.tree.map(lambda x, part: x.at[at].set(part), (meta.per_example, search.moments), (values, moments))
    # The maximum is always `after`; without it XLA may write before `gather_rows` has read, and copies all of it.
    last_step = search.last_step.at[at].set(jnp.maximum(search.last_step[at], after))
    return meta.replace(per_example=own), search.replace(step=after, last_step=last_step, moments=kept)


def _schedule(rate: Rate) -> Callable[[jax.Array], Any]:
    return rate if callable(rate) else lambda step: rate


def _reach(b1: float, b2: float) -> int:
    """Missed steps of Adam that count: the n-th moves a row by (b1 / sqrt(b2))^n of the first."""
    fading = b1 / math.sqrt(b2) if b2 else math.inf
    if fading >= 1:
        return PADDING
    return math.ceil(math.log(LEAST_MOTION) / math.log(fading)) if fading else 0


def _like(rows: jax.Array, array: jax.Array) -> jax.Array:
    """rows [B] with as many axes as array [B ...]."""
    return rows.reshape(-1, *[1] * (array.ndim - 1))


def _scaled(tree: Tree, factor: jax.Array) -> Tree:
    return jax.tree.map(lambda x: x * _like(factor, x), tree)


def _row_by_row(moved: Callable, value: jax.Array, mean: jax.Array, square: jax.Array, now: jax.Array) -> jax.Array:
    """`moved` for rows that are each at a step of their own: now [B]."""
    return jax.vmap(moved)(value, mean, square, now)
