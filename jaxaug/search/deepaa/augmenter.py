"""Images under a policy that is being searched: by draws, or under every branch of a layer."""

from __future__ import annotations

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment.policy_transform import apply_sampled, execution_settings
from jaxaug.core.types import Batch
from jaxaug.policies.policy import Policy
from jaxaug.policies.sampling import choose_branch, sample_at_branches, value_table


class Layers(flax.struct.PyTreeNode):
    """What is learned of a policy: logits [L R] of its branches, and of their levels (`PolicyAugmenter.level_of`)."""

    logits: jax.Array
    level: jax.Array | None = None


class SearchItem(flax.struct.PyTreeNode):
    """A training image and the validation images of its class.

    image [H W C] uint8, index []; label []: of all of them; validation [V H W C].
    """

    image: jax.Array
    index: jax.Array
    label: jax.Array
    validation: jax.Array


class PolicyAugmenter(NamedTuple):
    """What a policy under search makes of images.

    space: one layer of R branches, which all layers have; softens: names of the ops that hide (`Batch.visibility`);
    exact: uint8 arithmetic as PIL's, with uint8 images between the layers. nearest [R]: where levels are learned the
    level of each branch that changes nothing, that of the space being the one that changes most.
    """

    space: Policy
    softens: tuple[str, ...] = ()
    exact: bool = True
    nearest: np.ndarray | None = None

    def level_of(self, logits: jax.Array) -> jax.Array:
        """Learned levels in [0, 1] of their logits [.. R]."""
        nearest, farthest = jnp.asarray(self.nearest, jnp.float32), jnp.asarray(self.space.level[0, 0], jnp.float32)
        return nearest + (farthest - nearest) * jax.nn.sigmoid(logits)

    def sampled(self, key: jax.Array, policy: Layers, item: SearchItem, count: int) -> tuple[Batch, jax.Array]:
        """(copies of the item's image under draws of a policy, the branches that were drawn [count L])."""
        branch_key, ops_key = jax.random.split(key)
        uniform = jax.random.uniform(branch_key, (count, len(policy.logits)), jnp.float32)
        branch = choose_branch(uniform, jax.nn.softmax(policy.logits))
        image = jnp.broadcast_to(item.image, (count, *item.image.shape))
        batch = Batch(image, jnp.full(count, item.label), jnp.full(count, item.index))
        return self._after(ops_key, batch, branch, policy.level), branch

    def every(self, key: jax.Array, batch: Batch, level: jax.Array | None) -> Batch:
        """Each row of the batch under each of the R branches -> [R B], branch by branch; level: logits [R] or None."""
        branches, rows = self.space.op.shape[2], len(batch.image)
        batch = jax.tree.map(lambda x: jnp.concatenate([x] * branches), batch)
        return self._after(
            key, batch, jnp.repeat(jnp.arange(branches), rows)[:, None], None if level is None else level[None]
        )

    def _after(self, key: jax.Array, batch: Batch, branch: jax.Array, level: jax.Array | None) -> Batch:
        policy = self.space.with_layers(branch.shape[1])
        policy = policy if level is None else policy.replace(level=self.level_of(level)[None])
        random = jax.random.uniform(key, (*branch.shape, 4), jnp.float32)
        table = value_table(policy, *batch.image.shape[1:3]) if self.exact else None
        settings = execution_settings(policy, self.exact, "auto")
        return apply_sampled(sample_at_branches(policy, branch, random, table), batch, settings, self.softens)
