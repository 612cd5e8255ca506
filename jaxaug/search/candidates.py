"""How much each branch of a layer would help: DeepAA's derivative for one training image, piece by piece.

A piece augments, runs the network and gives a sum, for as many images as the layer has branches; an update is a loop of
pieces, so that its memory depends on neither the copies nor the items.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from jaxaug import losses, models
from jaxaug.augment.draws import at_branches, choose, known
from jaxaug.augment.policies import Policy
from jaxaug.augment.policy import carried_out, settings_of
from jaxaug.search import implicit
from jaxaug.types import Batch, Terms, TrainState, Tree

RowTerms = Callable[[Tree, TrainState, Batch], Terms]  # params, net, batch


class Item(flax.struct.PyTreeNode):
    """A training image and the validation images of its class.

    image [H W C] uint8, index []; label []: of all of them; validation [V H W C].
    """

    image: jax.Array
    index: jax.Array
    label: jax.Array
    validation: jax.Array


class Images(NamedTuple):
    """What a policy under search makes of images.

    space: one layer of R branches, which all layers have; softens: names of the ops that hide (`Batch.mass`); exact:
    PIL's numbers, with uint8 images between the layers.
    """

    space: Policy
    softens: tuple[str, ...] = ()
    exact: bool = True
    scheduler: str = "auto"

    def sampled(self, key: jax.Array, logits: jax.Array, item: Item, count: int) -> tuple[Batch, jax.Array]:
        """(copies of the item's image under draws of a policy with logits [L R], the branches drawn [count L])."""
        of_branch, of_ops = jax.random.split(key)
        uniform = jax.random.uniform(of_branch, (count, len(logits)), jnp.float32)
        branch = choose(uniform, jax.nn.softmax(logits))
        image = jnp.broadcast_to(item.image, (count, *item.image.shape))
        batch = Batch(image, jnp.full(count, item.label), jnp.full(count, item.index))
        return self._after(of_ops, batch, branch), branch

    def every(self, key: jax.Array, batch: Batch) -> Batch:
        """Each row of the batch under each of the R branches -> [R B], branch by branch."""
        branches, rows = self.space.op.shape[2], len(batch.image)
        batch = jax.tree.map(lambda x: jnp.concatenate([x] * branches), batch)
        return self._after(key, batch, jnp.repeat(jnp.arange(branches), rows)[:, None])

    def _after(self, key: jax.Array, batch: Batch, branch: jax.Array) -> Batch:
        policy = self.space.with_layers(branch.shape[1])
        random = jax.random.uniform(key, (*branch.shape, 4), jnp.float32)
        table = known(policy, *batch.image.shape[1:3]) if self.exact else None
        settings = settings_of(policy, self.exact, self.scheduler)
        return carried_out(at_branches(policy, branch, random, table), batch, settings, self.softens)


class Given(flax.struct.PyTreeNode):
    """What all pieces of an item know: net, the trained network; upto, before: logits [L R] of a policy whose layers
    after the one under search, or from that one on, do nothing."""

    net: TrainState
    item: Item
    upto: jax.Array
    before: jax.Array


class Pieces:
    """The functions of `Given` that an item's update is made of. Gradients are taken in `part` of the parameters
    without those of normalisation layers, which the search holds fixed as DeepAA does.

    train, trust: (params, net, batch) -> Terms, of augmented images and of validation images.
    """

    def __init__(
        self, train: RowTerms, trust: RowTerms, images: Images, part: tuple[str, ...], chunk: int, factor: int
    ):
        self._train, self._trust, self.images, self._part = train, trust, images, part
        self._chunk, self._factor = chunk, factor
        self.branches = images.space.op.shape[2]

    def nothing(self, given: Given) -> Tree:
        """A sum of gradients that has not begun."""
        return jax.tree.map(jnp.zeros_like, self._theta(given))

    def validation(self, given: Given) -> Tree:
        """The gradient of the mean loss of the validation images."""
        return jax.grad(lambda theta: jnp.mean(self._rows(self._trust, theta, given, self._trusted(given))))(
            self._theta(given)
        )

    def add_sampled(self, given: Given, total: Tree, key: jax.Array) -> Tree:
        """total + this piece's share of the gradient of the mean loss under the policy up to this layer: of as many
        draws as there are branches, of `factor` pieces."""
        batch, _ = self.images.sampled(key, given.upto, given.item, self.branches)
        return self._plus(given, total, batch, jnp.full(self.branches, 1.0 / (self.branches * self._factor)))

    def add_expected(self, given: Given, total: Tree, key: jax.Array) -> Tree:
        """total + the gradient of the expected loss under the first layer: every branch by its probability."""
        batch = self.images.every(key, self._alone(given))
        return self._plus(given, total, batch, jax.nn.softmax(given.upto[0]))

    def add_importance(self, given: Given, v: Tree, total: jax.Array, key: jax.Array) -> jax.Array:
        """total [R] + d cos / d p of this layer's branches, mean of `chunk` draws of the layers before it."""
        of_layers, of_branches = jax.random.split(key)
        batch, _ = self.images.sampled(of_layers, given.before, given.item, self._chunk)
        along = self._along(given, v, self.images.every(of_branches, batch))
        return total + along.reshape(self.branches, self._chunk).mean(axis=1)

    def add_first(self, given: Given, v: Tree, total: jax.Array, key: jax.Array) -> jax.Array:
        """The same where there is no layer before, on the very images of `add_expected` with that key."""
        return total + self._along(given, v, self.images.every(key, self._alone(given)))

    def add_scores(self, given: Given, v: Tree, total: tuple, key: jax.Array) -> tuple:
        """total + (sum of d [L R], count [L R], sum of d []) by the branches that were drawn in each layer.

        d is the derivative of the cosine along each of R draws.
        """
        batch, branch = self.images.sampled(key, given.upto, given.item, self.branches)
        along = self._along(given, v, batch)
        drawn = jax.nn.one_hot(branch, self.branches, dtype=along.dtype)  # [R L R]
        found = jnp.einsum("n,nlr->lr", along, drawn), drawn.sum(axis=0), along.sum()
        return jax.tree.map(jnp.add, total, found)

    def problem(self, given: Given, key: jax.Array, first: bool, fisher: bool) -> implicit.Problem:
        """For directions other than the cosine's: losses of R draws, and their curvature."""
        batch, _ = self.images.sampled(key, given.upto, given.item, self.branches)
        weight = jnp.full(self.branches, 1.0 / self.branches)
        if first:
            batch, weight = self.images.every(key, self._alone(given)), jax.nn.softmax(given.upto[0])
        theta = self._theta(given)

        def train(theta: Tree) -> jax.Array:
            return jnp.sum(weight * self._rows(self._train, theta, given, batch))

        def trust(theta: Tree) -> jax.Array:
            return jnp.mean(self._rows(self._trust, theta, given, self._trusted(given)))

        def logits(theta: Tree) -> jax.Array:
            return self._train(models.with_arrays(given.net.params, theta), given.net, batch).out.logits

        curvature = implicit.softmax_fisher(logits, weight, 1.0) if fisher else implicit.hessian(train)
        return implicit.Problem(train, trust, theta, jax.grad(trust)(theta), curvature)

    def _theta(self, given: Given) -> Tree:
        return models.without_norms(given.net.params, self._part)

    def _rows(self, terms: RowTerms, theta: Tree, given: Given, batch: Batch) -> jax.Array:
        return losses.of_rows(terms(models.with_arrays(given.net.params, theta), given.net, batch))

    def _plus(self, given: Given, total: Tree, batch: Batch, weight: jax.Array) -> Tree:
        found = jax.grad(lambda theta: jnp.sum(weight * self._rows(self._train, theta, given, batch)))
        return jax.tree.map(jnp.add, total, found(self._theta(given)))

    def _along(self, given: Given, v: Tree, batch: Batch) -> jax.Array:
        """-< grad loss_i, v > -> [B], by one forward-mode pass."""

        def train(theta: Tree, weight: jax.Array) -> jax.Array:
            return jnp.sum(weight * self._rows(self._train, theta, given, batch))

        return -implicit.mixed(train, self._theta(given), jnp.ones(len(batch.image)), v)

    def _alone(self, given: Given) -> Batch:
        item = given.item
        return Batch(item.image[None], item.label[None], item.index[None])

    def _trusted(self, given: Given) -> Batch:
        count = len(given.item.validation)
        return Batch(given.item.validation, jnp.full(count, given.item.label), jnp.full(count, given.item.index))
