"""An update of DeepAA's search: the pieces of each item, looped over, and what the items say together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from jaxaug.bilevel.gradient_matching import cosine_direction
from jaxaug.bilevel.hypergradient import IHVPSolver
from jaxaug.core.sharding import replicated, sharded_along
from jaxaug.core.target import platform_of, traced_for
from jaxaug.core.types import TrainState, Tree
from jaxaug.data.dataset import Split
from jaxaug.data.sampler import take
from jaxaug.policies.policy import Policy
from jaxaug.search.deepaa.augmenter import Layers, SearchItem
from jaxaug.search.deepaa.gradients import BranchDerivative, BranchGradients, ItemContext
from jaxaug.search.deepaa.state import Options, PolicyState, learn, learn_all, until


class ItemIndices(NamedTuple):
    """What an update looks at: image [N], one training row for each item; validation [N V], rows of the same class."""

    image: Any
    validation: Any


class LoopBackend(NamedTuple):
    """How pieces are run: as compiled(piece); fold(piece, start, keys) carries a sum along, each(f, items) stacks.

    On accelerators an update is one program, in which pieces are traced and scanned. On a single CPU device every piece
    is a jitted call, because XLA runs convolutions inside loops several times slower there.
    """

    compiled: Callable[[Callable], Callable]
    fold: Callable[[Callable, Any, jax.Array], Any]
    each: Callable[[Callable, Any], Any]


def _fold(piece: Callable, start: Any, keys: jax.Array) -> Any:
    for key in keys:
        start = piece(start, key)
    return start


def _each(f: Callable, items: Any) -> Any:
    found = [f(jax.tree.map(lambda x, i=i: x[i], items)) for i in range(len(jax.tree.leaves(items)[0]))]
    return jax.tree.map(lambda *parts: jnp.stack(parts), *found)


def _scan(piece: Callable, start: Any, keys: jax.Array) -> Any:
    return jax.lax.scan(lambda carry, key: (piece(carry, key), None), start, keys)[0]


CALLED = LoopBackend(jax.jit, _fold, _each)
SCANNED = LoopBackend(lambda piece: piece, _scan, jax.lax.map)

# state, layer [] int32, net, training rows, trusted rows, chosen -> (state, cosine [], derivative)
Update = Callable[
    [PolicyState, jax.Array, TrainState, Split | None, Split | None, ItemIndices], tuple[PolicyState, jax.Array, Any]
]


def make_updates(
    pieces: BranchGradients, options: Options, solver: IHVPSolver | None, fisher: bool, mesh: Mesh
) -> dict[str, Update]:
    """{"first", "later", "all"}: updates of the first layer, of a later one, of the layers up to `layer` together.

    solver: None for the cosine's, whose gradients are summed piece by piece; others see one sum of as many draws as
    there are branches. derivative: for each item, a `BranchDerivative` [N R]; for "all" by the logits of all layers
    [N L R].
    Items are spread over the mesh.
    """
    one_by_one = mesh.size == 1 and platform_of(mesh) == "cpu"
    loops = CALLED if one_by_one else SCANNED
    of_item = ItemUpdate(pieces, options, solver, fisher, loops)
    gather = loops.compiled(partial(_gathered, pieces.images.space))

    def make(derive: Callable[[ItemContext, jax.Array], tuple[Any, jax.Array]], learn: Callable) -> Update:
        def of_items(
            net: TrainState, upto: Layers, before: Layers, level: jax.Array | None, items: SearchItem, keys: jax.Array
        ) -> Any:
            return loops.each(
                lambda part: derive(ItemContext(net, part[0], upto, before, level), part[1]), (items, keys)
            )

        run = of_items if one_by_one else _spread(traced_for(mesh, of_items), mesh)
        learned = loops.compiled(partial(learn, options))

        def update(
            state: PolicyState,
            layer: jax.Array,
            net: TrainState,
            source: Split | None,
            trusted: Split | None,
            chosen: ItemIndices,
        ) -> tuple[PolicyState, jax.Array, Any]:
            derivative, cosine = run(net, *gather(state, layer, source, trusted, chosen))
            return learned(state, layer, derivative), jnp.mean(cosine), derivative

        everywhere, spread = replicated(mesh), sharded_along(mesh, 0)
        return update if one_by_one else jax.jit(update, out_shardings=(everywhere, everywhere, spread))

    return {
        "first": make(of_item.first, learn),
        "later": make(of_item.later, learn),
        "all": make(of_item.all, learn_all),
    }


def _spread(of_items: Callable, mesh: Mesh) -> Callable:
    """(net, upto, before, level, items, keys) -> ..., each device with its share of the items."""
    whole, spread = PartitionSpec(), sharded_along(mesh, 0).spec
    places = (whole, whole, whole, whole, spread, spread)
    # Unchecked, because JAX would sum the gradients of parameters that all devices hold over the devices.
    return jax.shard_map(of_items, mesh=mesh, in_specs=places, out_specs=spread, check_vma=False)


def _gathered(
    space: Policy,
    state: PolicyState,
    layer: jax.Array,
    source: Split | None,
    trusted: Split | None,
    chosen: ItemIndices,
) -> tuple[Layers, Layers, jax.Array | None, SearchItem, jax.Array]:
    """(upto, before, level) of `ItemContext`, the items and their keys."""
    rows = take(source, chosen.image)
    items = SearchItem(rows.image, rows.index, rows.label, take(trusted, chosen.validation).image)
    keys = jax.random.split(jax.random.fold_in(state.key, state.step), len(rows.label))
    upto, before = (Layers(until(state.logits, end, space), state.levels) for end in (layer + 1, layer))
    return upto, before, None if state.levels is None else state.levels[layer], items, keys


class ItemUpdate:
    """The derivative of an item's cosine and the cosine, (ItemContext, key) -> (BranchDerivative or [L R], []), by
    stage. solver: None for the cosine's own direction."""

    def __init__(
        self, pieces: BranchGradients, options: Options, solver: IHVPSolver | None, fisher: bool, loops: LoopBackend
    ):
        self._options, self._loops, self._branches = options, loops, pieces.branches
        self._nothing, self._validation = loops.compiled(pieces.nothing), loops.compiled(pieces.validation)
        self._add_expected, self._add_sampled = loops.compiled(pieces.add_expected), loops.compiled(pieces.add_sampled)
        self._add_first, self._add_importance = loops.compiled(pieces.add_first), loops.compiled(pieces.add_importance)
        self._add_scores = loops.compiled(pieces.add_scores)
        self._cosine_direction = loops.compiled(cosine_direction)
        self._solve: dict[bool, Callable] = {}
        if solver is not None:
            for first in (True, False):
                self._solve[first] = loops.compiled(
                    lambda given, key, first=first: solver(pieces.problem(given, key, first, fisher))
                )

    def first(self, given: ItemContext, key: jax.Array) -> tuple[BranchDerivative, jax.Array]:
        """The first layer: the expectation over its branches is exact, and the same images give its derivatives."""
        v, cosine = self._aim(given, key, first=True)
        return self._fold(self._add_first, self._begun(given), key[None], given, v), cosine

    def later(self, given: ItemContext, key: jax.Array) -> tuple[BranchDerivative, jax.Array]:
        """A later layer: draws of the layers up to it aim, draws of those before it are seen under all branches."""
        aim_key, branches_key = jax.random.split(key)
        v, cosine = self._aim(given, aim_key)
        rounds = self._options.copies // self._options.chunk
        keys = jax.random.split(branches_key, rounds)
        found = self._fold(self._add_importance, self._begun(given), keys, given, v)
        return jax.tree.map(lambda x: x / rounds, found), cosine

    def all(self, given: ItemContext, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """All layers: E[d log p(branches) * derivative along the image] (Williams 1992), less the mean derivative."""
        aim_key, draws_key = jax.random.split(key)
        v, cosine = self._aim(given, aim_key)
        zeros = jnp.zeros_like(given.upto.logits)
        start = zeros, zeros, jnp.zeros(())
        scores, drawn, total = self._fold(
            self._add_scores, start, jax.random.split(draws_key, self._options.copies), given, v
        )
        count = self._options.copies * self._branches
        return (scores - total / count * drawn) / count, cosine

    def _aim(self, given: ItemContext, key: jax.Array, first: bool = False) -> tuple[Tree, jax.Array]:
        """(v, cosine) of the policy up to this layer."""
        if self._solve:
            v, report = self._solve[first](given, key)
            return v, report.get("cosine", jnp.nan)
        validation, nothing = self._validation(given), self._nothing(given)
        if first:
            training = self._fold(self._add_expected, nothing, key[None], given)
        else:
            training = self._fold(self._add_sampled, nothing, jax.random.split(key, self._options.factor), given)
        v, report = self._cosine_direction(validation, training)
        return v, report["cosine"]

    def _begun(self, given: ItemContext) -> BranchDerivative:
        zeros = jnp.zeros(self._branches)
        return BranchDerivative(zeros, None if given.level is None else zeros)

    def _fold(self, piece: Callable, start: Any, keys: jax.Array, *given: Any) -> Any:
        return self._loops.fold(partial(piece, *given), start, keys)
