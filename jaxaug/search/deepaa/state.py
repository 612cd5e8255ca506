"""DeepAA (Zheng et al., ICLR 2022): a deep augmentation policy, layer by layer, by matching gradients.

For an item, a training image and validation images of its class, the cosine between the gradient of the image under the
policy and that of the validation images has a derivative in the probability of every branch
(`bilevel.gradient_matching`). The logits of the layer climb along its mean over items, less its standard deviation from
the second layer on, by Adam.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxaug.core.errors import UsageError
from jaxaug.core.types import Tree
from jaxaug.policies.policy import Policy
from jaxaug.search.deepaa.gradients import BranchDerivative


@dataclasses.dataclass(eq=False)
class Options:
    """What of the search's updates is a matter of choice, with the values of the released code.

    (Its README takes 6 layers and 1,024 updates for CIFAR.)

    Attributes:
      num_layers: layers of the policy.
      updates: updates of each layer.
      images: training images of an update, each an item.
      validation: validation images of an item, of its class.
      copies: of an image before the layer under search, each seen under all branches.
      factor: the gradient of an image under the policy is the mean of this many times as many draws as branches.
      chunk: copies in the network at once.
      learning_rate: of Adam.
      identity: the logit that Identity begins with, others at 0.
      spread: standard deviations over the items that count against a branch, from the second layer on.
      refine: updates of all layers together afterwards.
      stop: the search ends with a layer that is Identity with more than this probability; 0 for never.

    Raises:
      UsageError: numbers that cannot be.
    """

    num_layers: int = 4
    updates: int = 256
    images: int = 16
    validation: int = 64
    copies: int = 16
    factor: int = 4
    chunk: int = 1
    learning_rate: float = 0.025
    identity: float = 8.0
    spread: float = 1.0
    refine: int = 0
    stop: float = 0.0

    def __post_init__(self) -> None:
        for name in ("num_layers", "updates", "images", "validation", "copies", "factor", "chunk"):
            if getattr(self, name) < 1:
                raise UsageError(f"deepaa: {name} must be at least 1, got {getattr(self, name)}")
        if self.copies % self.chunk:
            raise UsageError(f"deepaa: chunk {self.chunk} does not divide the {self.copies} copies")
        if not (self.learning_rate > 0 and self.spread >= 0 and self.refine >= 0 and 0 <= self.stop < 1):
            raise UsageError(
                "deepaa: learning_rate must be above 0, spread and refine at least 0 and stop in [0, 1), got "
                f"{self.learning_rate}, {self.spread}, {self.refine} and {self.stop}"
            )


class PolicyState(flax.struct.PyTreeNode):
    """step [] int32: updates taken; layers, greedy [] int32: how many layers the policy has, and after how many updates
    they have been searched one by one; logits [L R]; levels: their logits [L R] where they are learned, else None; opt:
    Adam of each layer by itself, {"logits", "levels"}: leaves [L ...]; key of the search."""

    step: jax.Array
    layers: jax.Array
    greedy: jax.Array
    logits: jax.Array
    levels: jax.Array | None
    opt: Tree
    key: jax.Array


def begin(key: jax.Array, options: Options, space: Policy, levels: bool = False) -> PolicyState:
    """The state before the first update: every layer does nothing, with a probability of 0.96 for 139 branches.

    levels: they are learned, and begin half way.
    """
    branches = space.op.shape[2]
    start = jnp.zeros(branches, jnp.float32).at[identity_of(space)].set(options.identity)
    logits = jnp.broadcast_to(start - start.mean(), (options.num_layers, branches))
    learned = {"logits": logits, **({"levels": jnp.zeros_like(logits)} if levels else {})}
    opt = {name: jax.vmap(adam(options.learning_rate).init)(x) for name, x in learned.items()}
    layers, greedy = (jnp.asarray(x, jnp.int32) for x in (options.num_layers, options.num_layers * options.updates))
    return PolicyState(jnp.zeros((), jnp.int32), layers, greedy, logits, learned.get("levels"), opt, key)


def identity_of(space: Policy) -> int:
    """The branch of a search space that does nothing."""
    return [space.names[i] for i in space.op[0, 0]].index("Identity")


def adam(rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-7) -> optax.GradientTransformation:
    """Adam as Keras has it, with eps added before the second moment is corrected for its beginning; to ascend.

    The released search uses it. Early on its eps counts 30 times as much as optax's, which is of the size of the
    gradients of improbable branches.
    """

    def init(params: jax.Array) -> tuple:
        return jnp.zeros((), jnp.int32), jnp.zeros_like(params), jnp.zeros_like(params)

    def update(gradient: jax.Array, state: tuple, params: Any = None) -> tuple[jax.Array, tuple]:
        count, mean, square = state[0] + 1, b1 * state[1] + (1 - b1) * gradient, b2 * state[2] + (1 - b2) * gradient**2
        step = rate * jnp.sqrt(1 - b2**count) / (1 - b1**count) * mean / (jnp.sqrt(square) + eps)
        return step, (count, mean, square)

    return optax.GradientTransformation(init, update)


def learn(options: Options, state: PolicyState, layer: jax.Array, slope: BranchDerivative) -> PolicyState:
    """One layer's logits, and those of its levels, after an update. slope: of each item, [N R]; layer [] int32."""
    first, importance = layer == 0, slope.probability
    found = importance.mean(axis=0) - jnp.where(first, 0.0, options.spread) * importance.std(axis=0)
    # The released loss is a mean over images in the first stage and a sum over items later; it matters to eps alone.
    scale = jnp.where(first, 0.25, float(len(importance)))
    p = jax.nn.softmax(state.logits[layer])
    slopes = {"logits": scale * p * (found - p @ found)}
    if slope.level is not None:
        slopes["levels"] = scale * p * slope.level.mean(axis=0)
    moved: dict[str, jax.Array] = {}
    kept = dict(state.opt)
    for name, one in slopes.items():
        step, opt = adam(options.learning_rate).update(one, jax.tree.map(lambda x: x[layer], state.opt[name]))
        kept[name] = jax.tree.map(lambda x, new: x.at[layer].set(new), state.opt[name], opt)
        moved[name] = getattr(state, name).at[layer].add(step)
    return state.replace(step=state.step + 1, opt=kept, **moved)


def learn_all(options: Options, state: PolicyState, layer: jax.Array, slope: jax.Array) -> PolicyState:
    """The logits of all layers up to `layer` after an update. slope [N L R]: d cos / d logits of each item.

    They climb along the mean over items alone.
    """
    # Adam begins anew: its moments are those of slopes of another scale.
    fresh = state.step == state.greedy
    opt = jax.tree.map(lambda x: jnp.where(fresh, jnp.zeros_like(x), x), state.opt["logits"])
    step, opt = jax.vmap(adam(options.learning_rate).update)(slope.mean(axis=0), opt)
    step = jnp.where(jnp.arange(len(step))[:, None] <= layer, step, 0.0)
    return state.replace(step=state.step + 1, logits=state.logits + step, opt={**state.opt, "logits": opt})


def until(logits: jax.Array, layer: jax.Array, space: Policy) -> jax.Array:
    """logits [L R] of the policy whose layers from number `layer` [] on do nothing."""
    nothing = jnp.where(jnp.arange(logits.shape[1]) == identity_of(space), 0.0, -jnp.inf)
    return jnp.where(jnp.arange(len(logits))[:, None] < layer, logits, nothing)
