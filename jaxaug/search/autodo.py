"""AutoDO (Gudovskiy et al., CVPR 2021): a search beside the training, by implicit differentiation.

What transforms declare as learned moves along the gradient of the loss on validation rows
(`bilevel.hypergradient`), either in one pass over the training rows before each epoch or in one step before every n-th
training step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaug import losses
from jaxaug.bilevel.hypergradient import IHVPSolver, hypergradient, softmax_fisher
from jaxaug.bilevel.per_example import SparseRule, gather_rows, scatter_update
from jaxaug.core.errors import UsageError
from jaxaug.core.random import DeviceStream, HostStream, numpy_generator
from jaxaug.core.registry import Slot, instantiate, pick, register, slot_name, slot_options
from jaxaug.core.totals import Totals, totals_of
from jaxaug.core.types import Batch, LossInputs, MetaParams, TrainState, Tree
from jaxaug.search.base import BilevelProblem, SearchContext, SearchMethod, create_meta_optimizer

CURVATURES = {"fisher": True, "hessian": False}


@register("search", "autodo")
@dataclasses.dataclass(eq=False)
class BilevelSearch(SearchMethod):
    """AutoDO's search: soft labels, weights, policies and other numbers follow the loss on validation rows.

    Attributes:
      start: epochs of training before it begins.
      every: 0 for a pass over the training rows before each epoch; n for one step before every n-th training step.
      batch_size: training rows of a search step.
      validation_batch_size: validation rows of a search step, at most as many as there are.
      part: path of the parameters that the derivative goes through, such as ("head",); () for all of them.
      through: "parameters" of the part, each of them; "scale": one number that all of them are multiplied by, of the
        head how sure the network is of itself. A few hundred validation rows say one number well, and a thousand badly.
      solver: slot of the family "solver", which gives the direction v.
      curvature: "fisher", of the weighted cross-entropy, which is never negative; or "hessian".
      optim: slot of the family "meta_optimizer", with learning_rate and schedule, of which a pass over the training
        rows is an epoch.
    """

    start: int = 5
    every: int = 0
    batch_size: int = 256
    validation_batch_size: int = 256
    part: tuple[str, ...] = ("head",)
    through: str = "parameters"
    solver: Slot = "conjugate_gradient"
    curvature: str = "fisher"
    optim: Slot = "rmsprop"

    def setup(self, context: SearchContext) -> None:
        """Raises UsageError for unknown names, for sizes that cannot be, and where nothing is learned."""
        self._context, self._size = context, len(context.data.train)
        trusted, devices = len(context.data.validation), context.mesh.size
        _check(self, self._size, trusted, context.epochs, devices)
        meta = context.meta
        if not (meta.per_example or meta.shared):
            raise UsageError(
                "there is nothing to learn: add 'learned_targets' or 'learned_weights' to the losses, or set `learned` "
                "of a policy, of soft_targets or of isda"
            )
        self._trusted, self._few = trusted, min(self.validation_batch_size, trusted) // devices * devices
        self._per_pass = self._size // self.batch_size
        total = self.due(context.steps_per_epoch * context.epochs - 1)
        unit = max(context.steps_per_epoch // self.every, 1) if self.every else self._per_pass
        self.rule, self._tx = create_meta_optimizer(
            slot_name(self.optim), per_pass=unit, passes=-(-total // unit), **slot_options(self.optim)
        )
        through = pick("through", self.through, THROUGH)
        self._step = make_search_step(
            through(context.problem(tuple(self.part))),
            self.rule,
            self._tx,
            self.make_solver(),
            fisher=pick("curvature", self.curvature, CURVATURES),
        )

    def step(self, state: TrainState, batch: Batch, validation: Batch) -> tuple[TrainState, Totals]:
        """One step along the hypergradient."""
        return self._step(state, batch, validation)

    def make_solver(self) -> IHVPSolver:
        """What gives the direction of the derivative."""
        return instantiate("solver", self.solver)

    def init_shared(self, meta: MetaParams) -> Tree:
        """The optimiser's state."""
        return self._tx.init(meta.shared)

    def due(self, step: int) -> int:
        """Whole passes before each epoch, or one step before every n-th training step."""
        per_epoch = self._context.steps_per_epoch
        after = step - self.start * per_epoch
        if after < 0:
            return 0
        return (after // self.every + 1) if self.every else (after // per_epoch + 1) * self._per_pass

    def rows(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Of shuffled passes over both splits."""
        seed = self._context.seed
        chosen = _part(seed, HostStream.SEARCH_TRAINING_ROWS, number, self._size, self.batch_size)
        return chosen, _part(seed, HostStream.SEARCH_VALIDATION_ROWS, number, self._trusted, self._few)


def make_search_step(
    problem: BilevelProblem,
    rule: SparseRule,
    tx: optax.GradientTransformation,
    solver: IHVPSolver,
    *,
    fisher: bool,
) -> Callable[[TrainState, Batch, Batch], tuple[TrainState, Totals]]:
    """search_step(state, batch, validation) -> (state, totals): meta moves so that the validation rows' loss falls.

    The rows' own numbers follow `rule`, the shared ones `tx`.

    Args:
      problem: the objective, cut where the parameters that the derivative goes through begin to matter.
      fisher: curvature by Gauss-Newton on the weighted cross-entropy, which is never negative; else by the Hessian.
    """

    def search_step(state: TrainState, batch: Batch, validation: Batch) -> tuple[TrainState, Totals]:
        key = jax.random.fold_in(jax.random.fold_in(state.key, DeviceStream.SEARCH), state.search_state.step)
        seen = gather_rows(rule, state.meta, state.search_state, batch.index)
        arrays, pull, rest = jax.vjp(lambda meta: problem.features(meta, state, batch, key), seen[0], has_aux=True)

        def inputs(params: Tree, shared: Tree, arrays: Tree) -> LossInputs:
            return problem.train_inputs(params, shared, arrays, rest, state)

        def train_loss(params: Tree, given: tuple[Tree, Tree]) -> jax.Array:
            return losses.mean_loss(inputs(params, *given))

        params, given = problem.params(state), (seen[0].shared, arrays)
        curvature = None
        if fisher:
            now, known = inputs(params, *given), jnp.maximum(jnp.sum(rest.labelled), 1)
            # What transforms add to the logits is held fixed: its curvature need not be positive.
            added = jax.lax.stop_gradient(now.logits - now.output.logits)
            curvature = softmax_fisher(lambda p: inputs(p, *given).output.logits + added, now.weight, known)
        val_loss = problem.val_loss(state, validation)
        (from_shared, from_arrays), info = hypergradient(train_loss, val_loss, params, given, solver, curvature)
        # What reaches meta through the images and features, and what reaches it directly.
        (gradient,) = pull(from_arrays)
        from_shared = jax.tree.map(jnp.add, gradient.shared, from_shared)
        meta, search = scatter_update(rule, state.meta, state.search_state, seen, gradient.per_example)
        updates, opt_state = tx.update(from_shared, search.shared, meta.shared)
        meta = meta.replace(shared=optax.apply_updates(meta.shared, updates))
        totals = _totals(info, (gradient.per_example, from_shared), state.step)
        return state.replace(meta=meta, search_state=search.replace(shared=opt_state)), totals

    return search_step


def through_scale(problem: BilevelProblem) -> BilevelProblem:
    """The problem whose parameters are one factor [] of all that the given one has."""

    def scaled(factor: Tree, state: TrainState) -> Tree:
        return jax.tree.map(lambda x: x * factor, problem.params(state))

    def train_inputs(factor: Tree, shared: Tree, arrays: dict, rest: Batch, state: TrainState) -> LossInputs:
        return problem.train_inputs(scaled(factor, state), shared, arrays, rest, state)

    def val_loss(state: TrainState, batch: Batch) -> Callable[[Tree], jax.Array]:
        of_parameters = problem.val_loss(state, batch)
        return lambda factor: of_parameters(scaled(factor, state))

    return problem._replace(params=lambda state: jnp.ones(()), train_inputs=train_inputs, val_loss=val_loss)


THROUGH: dict[str, Callable[[BilevelProblem], BilevelProblem]] = {"parameters": lambda x: x, "scale": through_scale}


def _totals(info: dict[str, jax.Array], gradient: Tree, step: jax.Array) -> Totals:
    """The loss on validation rows, the solver's residual, how often it met a direction without positive curvature; bad
    where a gradient was not finite."""
    metrics = {
        "search_loss": info["validation_loss"],
        "search_residual": info["residual"],
        "search_indefinite": (info["curvature"] <= 0).astype(jnp.float32),
    }
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves((gradient, list(metrics.values())))]))
    return totals_of({name: (value, jnp.ones(())) for name, value in metrics.items()}, finite, step)


def _part(seed: int, stream: int, number: int, size: int, batch_size: int) -> np.ndarray:
    """Batch `number` of endless shuffled passes over `size` rows; the last partial batch of each is dropped."""
    epoch, place = divmod(number, size // batch_size)
    order = numpy_generator(seed, stream, epoch).permutation(size)
    return order[place * batch_size : (place + 1) * batch_size].astype(np.int32)


def _check(options: BilevelSearch, size: int, trusted: int, epochs: int, devices: int) -> None:
    if trusted < devices:
        raise UsageError(
            "a search needs validation rows, whose labels are trusted: set validation_size of the data (rows, or a "
            "share below 1)"
        )
    for name, least in (("start", 0), ("every", 0), ("batch_size", 1), ("validation_batch_size", devices)):
        if getattr(options, name) < least:
            raise UsageError(f"{name} must be at least {least}, got {getattr(options, name)}")
    if options.batch_size % devices:
        raise UsageError(f"batch_size {options.batch_size} cannot be divided among {devices} devices")
    if options.batch_size > size:
        raise UsageError(f"batch_size is {options.batch_size}, but there are {size} training rows")
    if options.start >= epochs:
        raise UsageError(f"start is {options.start}, but there are {epochs} epochs: nothing is searched")
