"""DeepAA as a search of a run: from what, by which updates, in which order, with which options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxaug.augment.policy_transform import softening_ops
from jaxaug.core.errors import UsageError
from jaxaug.core.random import HostStream, numpy_generator
from jaxaug.core.registry import Slot, instantiate, pick, register, slot_name
from jaxaug.core.sharding import put_global
from jaxaug.data.dataset import Dataset, Split
from jaxaug.data.splits import rows_to_cut, stratified_split
from jaxaug.ops.registry import check_op
from jaxaug.policies import search_space
from jaxaug.policies.policy import RGB_MEAN, Policy
from jaxaug.search.autodo import CURVATURES
from jaxaug.search.base import SearchContext, SearchMethod, SearchRun
from jaxaug.search.deepaa import state as policy_state
from jaxaug.search.deepaa.augmenter import PolicyAugmenter
from jaxaug.search.deepaa.gradients import BranchGradients
from jaxaug.search.deepaa.run import search_policy
from jaxaug.search.deepaa.state import Options, PolicyState, identity_of
from jaxaug.search.deepaa.update import ItemIndices, Update, make_updates

COSINE = "cosine"


@register("search", "deepaa")
@dataclasses.dataclass(eq=False)
class DeepAASearch(SearchMethod, Options):
    """A policy searched with a trained network, by matching the gradients of augmented and of validation images.

    Attributes:
      num_layers: layers of the policy.
      updates: updates of each layer.
      images: training images of an update, each an item; the devices divide it.
      validation: validation images of an item, of its class.
      copies: of an image before the layer under search, each seen under all branches.
      factor: the gradient of an image under the policy is the mean of this many times as many draws as branches.
      chunk: copies in the network at once.
      learning_rate: of Adam.
      identity: the logit that Identity begins with, others at 0.
      spread: standard deviations over the items that count against a branch, from the second layer on.
      refine: updates of all layers together afterwards.
      stop: the search ends with a layer that is Identity with more than this probability; 0 for never.
      part: path of the parameters in which gradients are matched; () for all of them.
      solver: slot of the family "solver"; "cosine" is the paper's.
      curvature: for other solvers, "fisher" or "hessian".
      ops: names of the operations; () for DeepAA's.
      levels: of each operation; 0 for levels that are learned by gradient, with exact=False.
      cover: color of cutouts and of what crops uncover, one number per channel or one for all.
      softens: names of operations that hide what soft_targets counts, or ("all",).
      exact: uint8 arithmetic, bit for bit PIL's; else float32.
      pool: rows, or a share below 1, kept from the training to search with; 0 for the training rows themselves.
      network: folder of a finished run whose network searches; "" for that of this run.
    """

    part: tuple[str, ...] = ()
    solver: Slot = COSINE
    curvature: str = "fisher"
    ops: tuple[str, ...] = ()
    levels: int = 13
    cover: tuple[float, ...] = RGB_MEAN
    softens: tuple[str, ...] = ()
    exact: bool = True
    pool: float = 0.0
    network: str = ""

    def prepare_data(self, data: Dataset, seed: int) -> Dataset:
        """The rows to train on; `pool` of them are kept for the search."""
        if not self.pool:
            return data
        count = rows_to_cut(self.pool, len(data.train), "deepaa", "pool")
        kept, cut = stratified_split(data.train.label, count, seed)
        self.pool_rows = data.train.at(cut)
        return data.keep(kept)

    def setup(self, context: SearchContext) -> None:
        """Raises UsageError for what cannot be searched with these images, rows and devices."""
        self.mesh, data = context.mesh, context.data
        self.validation_rows = data.validation
        if self.images % self.mesh.size:
            raise UsageError(f"images {self.images} cannot be divided among {self.mesh.size} devices")
        space, neutral = self._space(data.image_shape), None
        if not self.levels:
            neutral = search_space.neutral_levels(space)
            if self.exact:
                raise UsageError("levels=0, learned levels, needs exact=False: PIL has no derivatives")
        for name in space.names:
            check_op(name, data.image_shape)
        solver = None if slot_name(self.solver) == COSINE else instantiate("solver", self.solver)
        fisher = pick("curvature", self.curvature, CURVATURES)
        self.augmenter = PolicyAugmenter(space, softening_ops(self.softens), self.exact, nearest=neutral)
        pieces = BranchGradients(
            context.train_inputs, context.val_inputs, self.augmenter, tuple(self.part), self.chunk, self.factor
        )
        self.update_functions: Mapping[str, Update] = make_updates(pieces, self, solver, fisher, self.mesh)
        self.item_rows = data.train if self.pool_rows is None else self.pool_rows
        self.chosen = _chooser(self, self.item_rows, self.validation_rows, context.seed)

    def _space(self, shape: tuple[int, ...]) -> Policy:
        return search_space.make_search_space(shape, tuple(self.ops), self.levels, tuple(self.cover))

    @property
    def space(self) -> Policy:
        """One layer of branches."""
        return self.augmenter.space

    def begin(self, key: jax.Array) -> PolicyState:
        """The state before the first update."""
        return policy_state.begin(key, self, self.space, self.augmenter.nearest is not None)

    def stage(self, state: PolicyState) -> tuple[str, int] | None:
        """(name of the next update, number of its layer), or None where the search is done."""
        step, greedy = int(state.step), int(state.greedy)
        if step < greedy:
            layer = step // self.updates
            return ("later" if layer else "first"), layer
        return ("all", int(state.layers) - 1) if step < greedy + self.refine else None

    def after(self, state: PolicyState) -> PolicyState:
        """The state, and the end of the search layer by layer if the layer just finished has found nothing to do."""
        step = int(state.step)
        layer, rest = step // self.updates - 1, step % self.updates
        if not self.stop or rest or step > int(state.greedy):
            return state
        nothing = float(jax.nn.softmax(state.logits[layer])[identity_of(self.space)])
        if nothing <= self.stop:
            return state
        # Where the number was, that is on the devices of all processes.
        layers = put_global(np.asarray(max(layer, 1), np.int32), state.layers.sharding)
        return state.replace(layers=layers, greedy=state.step)

    def policy_of(self, state: PolicyState) -> Policy:
        """The policy so far, for training: geometric values are mirrored with probability 1/2, as DeepAA does."""
        layers = min(int(state.layers), max(-(-int(state.step) // self.updates), 1))
        logits = np.asarray(state.logits[:layers], np.float64)[None]
        found = self.space.with_layers(layers).replace(logits=logits, noise=("sign",))
        if state.levels is None:
            return found
        levels = np.asarray(self.augmenter.level_of(state.levels[:layers]), np.float64)[None]
        return found.replace(level=levels)

    def finish(self, run: SearchRun) -> dict[str, Any]:
        """The search itself, or what is left of it; `policy.json` and what else `search_policy` leaves."""
        return search_policy(self, run)


def _chooser(options: Options, pool: Split, validation: Split, seed: int) -> Callable[[int], ItemIndices]:
    """step -> a class for each item, uniform over those with rows on both sides; one row of it, and validation rows."""
    classes = np.intersect1d(pool.label, validation.label)
    if not len(classes):
        raise UsageError(
            "a policy search needs validation rows of the classes it trains on: set validation_size of the data"
        )
    rows_of = {label: tuple(np.flatnonzero(split.label == label) for split in (pool, validation)) for label in classes}

    def chosen(step: int) -> ItemIndices:
        random = numpy_generator(seed, HostStream.POLICY_SEARCH_ITEMS, step)
        image, others = [], []
        for label in random.choice(classes, options.images):
            own, candidates = rows_of[label]
            image.append(random.choice(own))
            others.append(random.choice(candidates, options.validation, replace=len(candidates) < options.validation))
        return ItemIndices(np.asarray(image, np.int32), np.asarray(others, np.int32))

    return chosen
