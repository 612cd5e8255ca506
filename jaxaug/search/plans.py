"""A config's search for a policy made into functions: from what, by which updates, in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxaug import devices
from jaxaug.augment import spaces
from jaxaug.augment.ops import check
from jaxaug.augment.policies import Policy
from jaxaug.augment.policy import softening
from jaxaug.data import Data, Split, seeds
from jaxaug.data.cut import rows_in_cut, stratified_cut
from jaxaug.errors import UsageError
from jaxaug.find import call, choose, find
from jaxaug.search import deepaa
from jaxaug.search.autodo import CURVATURES
from jaxaug.search.candidates import Pieces, RowTerms
from jaxaug.search.deepaa import Options, PolicyState
from jaxaug.search.pictures import Images
from jaxaug.search.updates import Chosen, Update, make_updates

COSINE = "matching.cosine"
# Keep what an update looks at apart from other random numbers of the run, which are seeded by (seed, stream, ...).
OF_ITEMS = 2**31 + 2


@dataclasses.dataclass(frozen=True)
class Plan:
    """A search for a policy. pool: the rows that items are taken from; trusted: those of validation.

    begin(key) -> the state before the first update; chosen(step) -> what update number `step` looks at.
    """

    options: Options
    images: Images
    pool: Split
    trusted: Split
    updates: Mapping[str, Update]
    chosen: Callable[[int], Chosen]

    @property
    def space(self) -> Policy:
        """One layer of branches."""
        return self.images.space

    def begin(self, key: jax.Array) -> PolicyState:
        """The state before the first update."""
        return deepaa.begin(key, self.options, self.space, self.images.nearest is not None)

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
        nothing = float(jax.nn.softmax(state.logits[layer])[deepaa.identity_of(self.space)])
        if nothing <= self.options.stop:
            return state
        # Where the number was, that is on the devices of all processes.
        layers = devices.place(np.asarray(max(layer, 1), np.int32), state.layers.sharding)
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
    config: ConfigDict, *, train: RowTerms, trust: RowTerms, data: Data, pool: Split, seed: int, mesh: jax.sharding.Mesh
) -> Plan:
    """The search for a policy that `config.search` describes (`config.search.deepaa` and what stands beside it).

    train, trust: terms of augmented images and of validation images. Raises UsageError for what cannot be.
    """
    options: Options = call("config.search.deepaa", deepaa.Options, options=config.deepaa)
    choices = config.space
    if options.images % mesh.size:
        raise UsageError(f"config.search.deepaa.images {options.images} cannot be divided among {mesh.size} devices")
    space, nearest = spaces.space(data.image_shape, tuple(choices.ops), choices.levels, tuple(choices.cover)), None
    if not choices.levels:
        nearest = spaces.nearest(space)
        if choices.exact:
            raise UsageError("config.search.space.levels=0, learned levels, needs exact=False: PIL has no derivatives")
    for name in space.names:
        check(name, data.image_shape)
    direction = None
    if config.direction != COSINE:
        options_of = dict(config.get(config.direction.split(".")[-1], {}))
        direction = call(f"search {config.direction!r}", find("search", config.direction), options=options_of)
    fisher = choose("config.search.curvature", config.curvature, CURVATURES)
    images = Images(space, softening(choices.softens), choices.exact, nearest=nearest)
    pieces = Pieces(train, trust, images, tuple(config.part), options.chunk, options.factor)
    updates = make_updates(pieces, options, direction, fisher, mesh)
    return Plan(options, images, pool, data.validation, updates, _chooser(options, pool, data.validation, seed))


def cut_pool(data: Data, size: float, seed: int) -> tuple[Data, Split]:
    """(the data to train on, the rows to search with): `size` rows, or a share below 1, that the network does not see.

    0: the search takes the training rows themselves.
    """
    if not size:
        return data, data.train
    kept, cut = stratified_cut(data.train.label, rows_in_cut(size, len(data.train)), seed)
    return data.keep(kept), data.train.at(cut)


def _chooser(options: Options, pool: Split, trusted: Split, seed: int) -> Callable[[int], Chosen]:
    """step -> a class for each item, uniform over those with rows on both sides; one row of it, and validation rows."""
    classes = np.intersect1d(pool.label, trusted.label)
    if not len(classes):
        raise UsageError(
            "a policy search needs validation rows of the classes it trains on: set config.data.validation_size"
        )
    rows_of = {label: tuple(np.flatnonzero(split.label == label) for split in (pool, trusted)) for label in classes}

    def chosen(step: int) -> Chosen:
        random = seeds.generator(seed, OF_ITEMS, step)
        image, validation = [], []
        for label in random.choice(classes, options.images):
            own, others = rows_of[label]
            image.append(random.choice(own))
            validation.append(random.choice(others, options.validation, replace=len(others) < options.validation))
        return Chosen(np.asarray(image, np.int32), np.asarray(validation, np.int32))

    return chosen
