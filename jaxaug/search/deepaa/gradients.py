"""How much each branch of a layer would help: DeepAA's derivative for one training image, piece by piece.

A piece augments, runs the network and gives a sum, for as many images as the layer has branches; an update is a loop of
pieces, so that its memory depends on neither the copies nor the items.
"""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from jaxaug import losses
from jaxaug.bilevel.hypergradient import IHVPProblem, hessian, mixed_derivative, softmax_fisher
from jaxaug.core.types import Batch, TrainState, Tree
from jaxaug.models.api import replace_arrays, without_norms
from jaxaug.search.base import PerExampleInputs
from jaxaug.search.deepaa.augmenter import Layers, PolicyAugmenter, SearchItem


class BranchDerivative(flax.struct.PyTreeNode):
    """Derivatives of the cosine: by the probability of each branch of a layer, and by the logit of its level for each
    unit of its probability (None where levels are those of the space); [R] each."""

    probability: jax.Array
    level: jax.Array | None = None


class ItemContext(flax.struct.PyTreeNode):
    """What all pieces of an item know.

    net: the trained network; upto, before: a policy whose layers after the one under search, or from that one on, do
    nothing; level: the logits [R] of its levels, None for those of the space.
    """

    net: TrainState
    item: SearchItem
    upto: Layers
    before: Layers
    level: jax.Array | None


class BranchGradients:
    """The functions of `ItemContext` that an item's update is made of. Gradients are taken in `part` of the parameters
    without those of normalisation layers, which the search holds fixed as DeepAA does.

    train, val: (params, net, batch) -> LossInputs, of augmented images and of validation images.
    """

    def __init__(
        self,
        train: PerExampleInputs,
        val: PerExampleInputs,
        images: PolicyAugmenter,
        part: tuple[str, ...],
        chunk: int,
        factor: int,
    ):
        self._train, self._val, self.images, self._part = train, val, images, part
        self._chunk, self._factor = chunk, factor
        self.branches = images.space.op.shape[2]

    def nothing(self, given: ItemContext) -> Tree:
        """A sum of gradients that has not begun."""
        return jax.tree.map(jnp.zeros_like, self._theta(given))

    def validation(self, given: ItemContext) -> Tree:
        """The gradient of the mean loss of the validation images."""
        return jax.grad(lambda theta: jnp.mean(self._rows(self._val, theta, given, self._validation_batch(given))))(
            self._theta(given)
        )

    def add_sampled(self, given: ItemContext, total: Tree, key: jax.Array) -> Tree:
        """total + this piece's share of the gradient of the mean loss under the policy up to this layer: of as many
        draws as there are branches, of `factor` pieces."""
        batch, _ = self.images.sampled(key, given.upto, given.item, self.branches)
        return self._plus(given, total, batch, jnp.full(self.branches, 1.0 / (self.branches * self._factor)))

    def add_expected(self, given: ItemContext, total: Tree, key: jax.Array) -> Tree:
        """total + the gradient of the expected loss under the first layer: every branch by its probability."""
        batch = self.images.every(key, self._alone(given), given.level)
        return self._plus(given, total, batch, jax.nn.softmax(given.upto.logits[0]))

    def add_importance(self, given: ItemContext, v: Tree, total: BranchDerivative, key: jax.Array) -> BranchDerivative:
        """total + the derivatives by this layer's branches, mean of `chunk` draws of the layers before it."""
        layers_key, branches_key = jax.random.split(key)
        batch, _ = self.images.sampled(layers_key, given.before, given.item, self._chunk)
        return jax.tree.map(jnp.add, total, self._by_branch(given, v, branches_key, batch))

    def add_first(self, given: ItemContext, v: Tree, total: BranchDerivative, key: jax.Array) -> BranchDerivative:
        """The same where there is no layer before, on the very images of `add_expected` with that key."""
        return jax.tree.map(jnp.add, total, self._by_branch(given, v, key, self._alone(given)))

    def add_scores(self, given: ItemContext, v: Tree, total: tuple, key: jax.Array) -> tuple:
        """total + (sum of d [L R], count [L R], sum of d []) by the branches that were drawn in each layer.

        d is the derivative of the cosine along each of R draws.
        """
        batch, branch = self.images.sampled(key, given.upto, given.item, self.branches)
        along = self._along(given, v, batch)
        drawn = jax.nn.one_hot(branch, self.branches, dtype=along.dtype)  # [R L R]
        found = jnp.einsum("n,nlr->lr", along, drawn), drawn.sum(axis=0), along.sum()
        return jax.tree.map(jnp.add, total, found)

    def problem(self, given: ItemContext, key: jax.Array, first: bool, fisher: bool) -> IHVPProblem:
        """For directions other than the cosine's: losses of R draws, and their curvature."""
        batch, _ = self.images.sampled(key, given.upto, given.item, self.branches)
        weight = jnp.full(self.branches, 1.0 / self.branches)
        if first:
            batch = self.images.every(key, self._alone(given), given.level)
            weight = jax.nn.softmax(given.upto.logits[0])
        theta = self._theta(given)

        def train(theta: Tree) -> jax.Array:
            return jnp.sum(weight * self._rows(self._train, theta, given, batch))

        def val(theta: Tree) -> jax.Array:
            return jnp.mean(self._rows(self._val, theta, given, self._validation_batch(given)))

        def logits(theta: Tree) -> jax.Array:
            return self._train(replace_arrays(given.net.params, theta), given.net, batch).output.logits

        curvature = softmax_fisher(logits, weight, 1.0) if fisher else hessian(train)
        return IHVPProblem(train, val, theta, jax.grad(val)(theta), curvature)

    def _theta(self, given: ItemContext) -> Tree:
        return without_norms(given.net.params, self._part)

    def _rows(self, inputs: PerExampleInputs, theta: Tree, given: ItemContext, batch: Batch) -> jax.Array:
        return losses.per_example_loss(inputs(replace_arrays(given.net.params, theta), given.net, batch))

    def _plus(self, given: ItemContext, total: Tree, batch: Batch, weight: jax.Array) -> Tree:
        found = jax.grad(lambda theta: jnp.sum(weight * self._rows(self._train, theta, given, batch)))
        return jax.tree.map(jnp.add, total, found(self._theta(given)))

    def _by_branch(self, given: ItemContext, v: Tree, key: jax.Array, batch: Batch) -> BranchDerivative:
        """The derivatives by the branches of a layer that follows on the batch, mean of its rows."""
        rows = len(batch.image)

        def train(theta: Tree, meta: BranchDerivative) -> jax.Array:
            after = self.images.every(key, batch, meta.level)
            return jnp.sum(jnp.repeat(meta.probability, rows) / rows * self._rows(self._train, theta, given, after))

        at = BranchDerivative(jnp.ones(self.branches), given.level)
        return jax.tree.map(jnp.negative, mixed_derivative(train, self._theta(given), at, v))

    def _along(self, given: ItemContext, v: Tree, batch: Batch) -> jax.Array:
        """-< grad loss_i, v > -> [B], by one forward-mode pass."""

        def train(theta: Tree, weight: jax.Array) -> jax.Array:
            return jnp.sum(weight * self._rows(self._train, theta, given, batch))

        return -mixed_derivative(train, self._theta(given), jnp.ones(len(batch.image)), v)

    def _alone(self, given: ItemContext) -> Batch:
        item = given.item
        return Batch(item.image[None], item.label[None], item.index[None])

    def _validation_batch(self, given: ItemContext) -> Batch:
        count = len(given.item.validation)
        return Batch(given.item.validation, jnp.full(count, given.item.label), jnp.full(count, given.item.index))
