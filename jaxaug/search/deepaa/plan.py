"""A config's search for a policy made into functions: from what, by which updates, in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxaug.augment.policy_transform import softening_ops
from jaxaug.core.errors import UsageError
from jaxaug.core.random import numpy_generator
from jaxaug.core.registry import instantiate, pick, resolve
from jaxaug.core.sharding import put_global
from jaxaug.data.dataset import Dataset, Split
from jaxaug.data.splits import rows_to_cut, stratified_split
from jaxaug.ops.registry import check_op
from jaxaug.policies import search_space
from jaxaug.policies.policy import Policy
from jaxaug.search.autodo import CURVATURES
from jaxaug.search.deepaa.augmenter import PolicyAugmenter
from jaxaug.search.deepaa.gradients import BranchGradients, PerExampleInputs
from jaxaug.search.deepaa.state import Options, PolicyState, begin, identity_of
from jaxaug.search.deepaa.update import ItemIndices, Update, make_updates

COSINE = "matching.cosine"
# Keep what an update looks at apart from other random numbers of the run, which are seeded by (seed, stream, ...).
OF_ITEMS = 2**31 + 2


@dataclasses.dataclass(frozen=True)
class DeepAASearch:
    """A search for a policy. pool: the rows that items are taken from; trusted: those of validation.

    begin(key) -> the state before the first update; chosen(step) -> what update number `step` looks at.
    """

    options: Options
    images: PolicyAugmenter
    pool: Split
    trusted: Split
    updates: Mapping[str, Update]
    chosen: Callable[[int], ItemIndices]

    @property
    def space(self) -> Policy:
        """One layer of branches."""
        return self.images.space

    def begin(self, key: jax.Array) -> PolicyState:
        """The state before the first update."""
        return begin(key, self.options, self.space, self.images.nearest is not None)

    def stage(self, state: PolicyState) -> tuple[str, int] | None:
        """(name of the next update, number of its layer), or None where the search is done."""
        step, greedy = int(state.step), int(state.greedy)
        if step < greedy:
            layer = step // self.options.updates
            return ("later" if layer else "first"), layer
        return ("all", int(state.layers) - 1) if step < greedy + self.options.refine else None

    def after(self, state: PolicyState) -> PolicyState:
        """The state, and the end of the search layer by layer if the layer just finished has found nothing to do."""
        step = int(state.step)
        layer, rest = step // self.options.updates - 1, step % self.options.updates
        if not self.options.stop or rest or step > int(state.greedy):
            return state
        nothing = float(jax.nn.softmax(state.logits[layer])[identity_of(self.space)])
        if nothing <= self.options.stop:
            return state
        # Where the number was, that is on the devices of all processes.
        layers = put_global(np.asarray(max(layer, 1), np.int32), state.layers.sharding)
        return state.replace(layers=layers, greedy=state.step)

    def found(self, state: PolicyState) -> Policy:
        """The policy so far, for training: geometric values are mirrored with probability 1/2, as DeepAA does."""
        layers = min(int(state.layers), max(-(-int(state.step) // self.options.updates), 1))
        logits = np.asarray(state.logits[:layers], np.float64)[None]
        found = self.space.with_layers(layers).replace(logits=logits, noise=("sign",))
        if state.levels is None:
            return found
        return found.replace(level=np.asarray(self.images.level_of(state.levels[:layers]), np.float64)[None])


def build(
    config: ConfigDict,
    *,
    train: PerExampleInputs,
    trust: PerExampleInputs,
    data: Dataset,
    pool: Split,
    seed: int,
    mesh: jax.sharding.Mesh,
) -> DeepAASearch:
    """The search for a policy that `config.search` describes (`config.search.deepaa` and what stands beside it).

    train, trust: inputs of augmented images and of validation images. Raises UsageError for what cannot be.
    """
    options: Options = instantiate("config.search.deepaa", Options, options=config.deepaa)
    choices = config.space
    if options.images % mesh.size:
        raise UsageError(f"config.search.deepaa.images {options.images} cannot be divided among {mesh.size} devices")
    space, nearest = (
        search_space.make_search_space(data.image_shape, tuple(choices.ops), choices.levels, tuple(choices.cover)),
        None,
    )
    if not choices.levels:
        nearest = search_space.neutral_levels(space)
        if choices.exact:
            raise UsageError("config.search.space.levels=0, learned levels, needs exact=False: PIL has no derivatives")
    for name in space.names:
        check_op(name, data.image_shape)
    direction = None
    if config.direction != COSINE:
        options_of = dict(config.get(config.direction.split(".")[-1], {}))
        direction = instantiate(f"search {config.direction!r}", resolve("search", config.direction), options=options_of)
    fisher = pick("config.search.curvature", config.curvature, CURVATURES)
    images = PolicyAugmenter(space, softening_ops(choices.softens), choices.exact, nearest=nearest)
    pieces = BranchGradients(train, trust, images, tuple(config.part), options.chunk, options.factor)
    updates = make_updates(pieces, options, direction, fisher, mesh)
    return DeepAASearch(options, images, pool, data.validation, updates, _chooser(options, pool, data.validation, seed))


def cut_pool(data: Dataset, size: float, seed: int) -> tuple[Dataset, Split]:
    """(the data to train on, the rows to search with): `size` rows, or a share below 1, that the network does not see.

    0: the search takes the training rows themselves.
    """
    if not size:
        return data, data.train
    kept, cut = stratified_split(data.train.label, rows_to_cut(size, len(data.train)), seed)
    return data.keep(kept), data.train.at(cut)


def _chooser(options: Options, pool: Split, trusted: Split, seed: int) -> Callable[[int], ItemIndices]:
    """step -> a class for each item, uniform over those with rows on both sides; one row of it, and validation rows."""
    classes = np.intersect1d(pool.label, trusted.label)
    if not len(classes):
        raise UsageError(
            "a policy search needs validation rows of the classes it trains on: set config.data.validation_size"
        )
    rows_of = {label: tuple(np.flatnonzero(split.label == label) for split in (pool, trusted)) for label in classes}

    def chosen(step: int) -> ItemIndices:
        random = numpy_generator(seed, OF_ITEMS, step)
        image, validation = [], []
        for label in random.choice(classes, options.images):
            own, others = rows_of[label]
            image.append(random.choice(own))
            validation.append(random.choice(others, options.validation, replace=len(others) < options.validation))
        return ItemIndices(np.asarray(image, np.int32), np.asarray(validation, np.int32))

    return chosen
