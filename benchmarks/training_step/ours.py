"""The steps of jaxaug as its trainer takes them: rows gathered on the device, augmentation, network, losses, update."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from augmentation.worker import picture

from jaxaug import losses, models
from jaxaug.core.sharding import replicated
from jaxaug.data.dataset import Dataset, assemble
from jaxaug.data.loader import Loader
from jaxaug.models.api import apply_model, init_model
from jaxaug.train import build_experiment
from jaxaug.train.config import complete, default_config
from jaxaug.train.experiment import Experiment, empty_training_totals, step_batches
from jaxaug.train.hooks.search import BilevelHook
from jaxaug.train.programs import train_program
from training_step.cases import BATCHES, CASES, MEAN, OPTIMIZER, PRODUCT, STD, Case, isda_example

Changes = Callable[[Any, Case], None]


def plain(config: Any, case: Case) -> None:
    """Cross-entropy without augmentation."""


def isda(config: Any, case: Case) -> None:
    """With the covariance that its papers have for such a network."""
    _add_losses(config, _isda(case))


def soft_augmentation(config: Any, case: Case) -> None:
    config.augment.after = ({"name": "soft_crop", **case.soft_crop},)
    _add_losses(config, {"name": "soft_targets", "power": 2.0, "weight": "batch"}, "kl_divergence")


def deepaa(config: Any, case: Case) -> None:
    config.augment.train = ({"name": "policy", "preset": case.policy},)


def autodo(config: Any, case: Case) -> None:
    """Learned weights and soft labels, with a search step before each training step, which is as many as its recipe
    takes from the epoch on in which its search begins."""
    _add_losses(config, "learned_targets", "learned_weights")
    sizes = {"batch_size": case.batch, "validation_batch_size": case.batch}
    config.search = {"name": "autodo", "start": 0, "every": 1, **sizes}


def everything(config: Any, case: Case) -> None:
    """All of them: DeepAA's policy, then the soft crop; what both hide softens the learned labels."""
    config.augment.train = ({"name": "policy", "preset": case.policy, "softens": ("all",)},)
    config.augment.after = ({"name": "soft_crop", **case.soft_crop},)
    autodo(config, case)
    soft = {"name": "soft_targets", "power": 2.0, "weight": "batch"}
    config.loss = ("learned_targets", soft, "kl_divergence", _isda(case), "learned_weights")


ARMS: dict[str, Changes] = {
    "plain": plain,
    "ISDA": isda,
    "Soft Augmentation": soft_augmentation,
    "DeepAA's policy": deepaa,
    "AutoDO": autodo,
    "all": everything,
}


def _isda(case: Case) -> dict[str, Any]:
    return {"name": "isda", "strength": case.strength, "covariance": case.covariance, "schedule": "constant"}


def _add_losses(config: Any, *slots: Any) -> None:
    config.loss = (*config.loss, *slots)


def make(name: str, arm: str) -> tuple[Callable[[], float], dict[str, Any]]:
    """(call, report): a call takes one step and waits for it; it gives the mean loss so far."""
    versions = {"jax": jax.__version__}
    if arm == "matrix product":
        matrix = jnp.ones((PRODUCT, PRODUCT))
        product = jax.jit(jnp.matmul)
        return lambda: float(product(matrix, matrix)[0, 0]), versions
    trained = _Training(experiment_of(CASES[name], ARMS[arm]))
    memory = trained.compiled.memory_analysis()
    costs = trained.compiled.cost_analysis()
    return trained.step, {
        **versions,
        **size_of(CASES[name]),
        "flop_by_xla": costs["flops"],
        "traffic_MB_by_xla": costs["bytes accessed"] / 1e6,
        "temporaries_MB": memory.temp_size_in_bytes / 1e6,
        "isda_of_example": {form: isda_of_example(form) for form in ("full", "diagonal")},
    }


def experiment_of(case: Case, change: Changes) -> Experiment:
    config = default_config()
    config.epochs, config.batch_size = 200, case.batch
    config.model = dict(case.model)
    config.optim.update(**OPTIMIZER)
    change(config, case)
    return build_experiment(complete(config), load=lambda _: pictures(case))


def pictures(case: Case) -> Dataset:
    """Made-up uint8 images for a few batches; as many rows as one of them are trusted."""
    images, labels = rows_of(case)
    names = tuple(map(str, range(case.classes)))
    split = BATCHES * case.batch
    return assemble(
        "pictures",
        (images[:split], labels[:split]),
        (images[split:], labels[split:]),
        validation=(images[split:], labels[split:]),
        num_classes=case.classes,
        class_names=names,
        mean=MEAN,
        std=STD,
        statistics_source="made up",
    )


def rows_of(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 images [N size size 3], int32 labels [N]) with one batch more than is trained on."""
    count = (BATCHES + 1) * case.batch
    labels = np.random.default_rng(0).integers(0, case.classes, count).astype(np.int32)
    return picture(case.size, count), labels


class _Training:
    """A training in progress, with the search steps that are due."""

    def __init__(self, experiment: Experiment):
        self._loader = Loader(experiment.data.train, experiment.mesh)
        self._batches = step_batches(experiment, 0)
        self._state = experiment.begin()
        zeros = jax.jit(lambda: empty_training_totals(experiment), out_shardings=replicated(experiment.mesh))
        self._totals = zeros()
        self._search = BilevelHook(experiment, self._loader, 0) if experiment.search else None
        rows = next(step_batches(experiment, 0))[1]
        self.compiled = train_program(experiment).lower(self._state, self._totals, self._loader(rows)).compile()

    def step(self) -> float:
        number, rows = next(self._batches)
        for _ in self._search.steps_before(number) if self._search else ():
            self._state = self._search.take(self._state)
        self._state, self._totals = self.compiled(self._state, self._totals, self._loader(rows))
        jax.block_until_ready(self._state)
        return self._totals.means()["loss"]


def size_of(case: Case) -> dict[str, int]:
    """{parameters, multiplications of an image}: of products and convolutions in one forward pass."""
    model = models.create(**case.model, num_classes=case.classes)
    shape = (case.size, case.size, 3)
    params, state = jax.eval_shape(lambda key: init_model(model, key, shape), jax.random.key(0))
    image = jnp.zeros((1, *shape))
    forward = jax.make_jaxpr(lambda p, s: apply_model(model, p, s, image, train=False)[0].logits)(params, state)
    parameters = sum(math.prod(x.shape) for x in jax.tree.leaves(params))
    return {"parameters": parameters, "multiplications": _multiplications(forward.jaxpr)}


def _multiplications(jaxpr: Any) -> int:
    total = 0
    for eqn in jaxpr.eqns:
        out, shapes = eqn.outvars[0].aval.shape, [x.aval.shape for x in eqn.invars]
        if eqn.primitive.name == "conv_general_dilated":
            total += math.prod(out) * math.prod(shapes[1]) // shapes[1][eqn.params["dimension_numbers"].rhs_spec[0]]
        elif eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            total += math.prod(out) * math.prod(shapes[0][axis] for axis in contracted)
        for inner in itertools.chain.from_iterable(map(_inner, eqn.params.values())):
            total += _multiplications(inner)
    return total


def _inner(value: Any) -> list[Any]:
    """The program in a parameter of an equation, if there is one."""
    found = getattr(value, "jaxpr", value)
    return [found] if hasattr(found, "eqns") else []


def isda_of_example(covariance: str) -> list[float]:
    """The loss of each batch of `isda_example`."""
    features, weight, labels = isda_example()
    transform = losses.isda(0.5, covariance, schedule="constant")
    state, found = transform.init(*weight.shape), []
    for batch, label in zip(features, labels, strict=True):
        logits = batch @ weight.T
        value, state = losses.apply(
            transform, state, features=batch, logits=logits, kernel=weight.T, labels=jnp.asarray(label, jnp.int32)
        )
        found.append(float(value))
    return found
