"""What a config does to images before the network sees them: real rows after each transform, and their targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment.compose import center_crop, normalize, pipeline_steps, transforms_of
from jaxaug.bilevel.per_example import gather_rows
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate
from jaxaug.core.types import Batch, MetaParams, ModelOutput, Progress, Tree, merge_meta_params
from jaxaug.data.dataset import Split
from jaxaug.data.lazy_images import LazyImages
from jaxaug.search.base import SearchMethod
from jaxaug.train.experiment import Experiment
from jaxaug.train.objective import HEAD
from jaxaug.viz.label_maps import class_palette, overlay
from jaxaug.viz.stages import Stage, pipeline_stages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 8
MOST_SHARES = 3  # classes of a target that are named
LONGEST_NAME = 12
LEAST_SHARE = 0.005  # that is worth naming


def draw_pipeline(experiment: Experiment, count: int = ROWS) -> Figure:
    """Rows of the training split after each transform, as the training would see them, halfway through.

    Above images stands how much of them is still seen, where a transform hides something; above the last ones their
    target as the losses make it, and their weight where it is not 1. A policy that is searched is as it begins.

    Args:
      experiment: a config made into functions.
      count: of rows, of as many classes as there are.

    Raises:
      UsageError: fewer than one row.
    """
    if count < 1:
        raise UsageError(f"rows must be at least 1, got {count}")
    rows = _chosen(experiment.data.train, count)
    meta, batch = _begun(experiment, _read(experiment, rows))
    half = jnp.asarray(0.5)
    progress, key = Progress(half, half, experiment.config.epochs), jax.random.key(experiment.config.seed)
    names = experiment.data.class_names
    read = "as it is read" if batch.label.ndim == 1 else "as it is read,\nlabels over it"
    shown = [Stage(read, _pixels(experiment, batch), _class_names(names, np.asarray(batch.label)))]
    before = batch
    titles, steps = _stages(experiment)
    for (title, before_finish), batch in zip(titles, jax.jit(steps)(key, before, meta.shared, progress), strict=True):
        if not title:  # normalization alone looks like nothing
            continue
        hides = batch.visibility is not None and (not before_finish or batch.visibility is not before.visibility)
        captions = [f"visible {share:.2f}" for share in np.asarray(batch.visible_fraction)] if hides else ()
        shown.append(Stage(title, _pixels(experiment, batch, normalized=not before_finish), captions))
        before = batch
    targets = _targets(experiment, batch, meta, progress)
    if targets:
        shown[-1] = shown[-1]._replace(captions=_joined(shown[-1].captions, targets))
    return pipeline_stages(shown)


def _chosen(split: Split, count: int) -> Split:
    """Rows of different classes first, in the order of their classes."""
    order = np.random.default_rng(0).permutation(len(split))[: max(50 * count, 1000)]
    if len(split.label.shape) > 1:
        return split.at(np.sort(order[:count]))
    label = np.asarray(split.label)[order]
    turn = np.zeros(len(order), int)  # the how manieth of its class a row is
    for k in np.unique(label):
        turn[label == k] = np.arange((label == k).sum())
    first = order[np.lexsort((label, turn))[:count]]
    return split.at(first)


def _read(experiment: Experiment, rows: Split) -> Batch:
    image, count = rows.image, len(rows)
    if isinstance(image, LazyImages) and len(rows.label.shape) == 1:
        image = image.read(np.arange(count), experiment.config.seed, np.zeros(count, int))[0]
    return Batch(jnp.asarray(image[:]), jnp.asarray(rows.label[:], jnp.int32), jnp.asarray(rows.index))


def _begun(experiment: Experiment, batch: Batch) -> tuple[MetaParams, Batch]:
    """What may be learned, as it begins, and the batch with its share of it."""
    learned, chain, method = experiment.learned, experiment.chain, experiment.search or SearchMethod()
    own = chain.meta(experiment.data.num_classes) if chain.meta else MetaParams()
    meta = merge_meta_params([learned.meta if learned else MetaParams(), own])
    meta, state = method.init(meta, np.asarray(batch.index), experiment.mesh.size)
    meta = gather_rows(method.rule, meta, state, batch.index)[0]
    return meta, batch.replace(per_example=meta.per_example)


def _stages(experiment: Experiment) -> tuple[list[tuple[str, bool]], Callable[..., list[Batch]]]:
    """(title, whether it comes before normalization) of each transform, and what gives the batches after them."""
    config, data = experiment.config, experiment.data
    slots = {name: list(config.augment[name]) for name in ("train", "strong", "after")}
    first = transforms_of([instantiate("augment", slot) for slot in (*slots["train"], *slots["strong"])])
    last = transforms_of([instantiate("augment", slot) for slot in slots["after"]])
    titles = [slot["name"] for slot in slots["train"]] + [f"strong:\n{slot['name']}" for slot in slots["strong"]]
    cut = f"center {config.augment.size} x {config.augment.size}" if config.augment.size else ""

    def finish(batch: Batch) -> Batch:
        batch = center_crop(batch, config.augment.size)
        return batch.replace(image=normalize(batch.image, data.mean, data.std))

    def steps(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> list[Batch]:
        return [one for _, one in pipeline_steps(key, batch, shared, progress, first=first, finish=finish, last=last)]

    titles = [*titles, cut, *(slot["name"] for slot in slots["after"])]
    return [(title.replace("_", " "), i < len(first)) for i, title in enumerate(titles)], steps


def _pixels(experiment: Experiment, batch: Batch, *, normalized: bool = False) -> np.ndarray:
    """[B H W C] on the 0..255 scale, with label maps laid over."""
    data, image = experiment.data, np.asarray(batch.image, np.float32)
    if normalized:
        image = 255 * (image * np.asarray(data.std, np.float32) + np.asarray(data.mean, np.float32))
    if batch.label.ndim == 3 and image.shape[-1] in (1, 3):
        return overlay(image, np.asarray(batch.label), class_palette(data.class_names), 0.35)
    return image


def _targets(experiment: Experiment, batch: Batch, meta: MetaParams, progress: Progress) -> list[str]:
    """The target of each row in words; [] where labels are maps."""
    if batch.label.ndim == 3:
        return []
    features, classes = experiment.abstract_state().params[HEAD]["kernel"].shape
    count = len(batch.label)
    logits, kernel = jnp.zeros((count, classes)), jnp.zeros((features, classes))
    zeros = ModelOutput(jnp.zeros((count, features)), logits, kernel, jnp.zeros(classes))

    @jax.jit
    def softened(batch: Batch, shared: Tree, progress: Progress) -> tuple[jax.Array, jax.Array]:
        inputs = experiment.task.loss_inputs(zeros, batch, shared, progress)
        state = experiment.chain.init(classes, features, class_counts=jnp.ones(classes))
        inputs = experiment.chain.apply(state, inputs)[1]
        return inputs.targets, inputs.weight

    targets, weights = map(np.asarray, softened(batch, meta.shared, progress))
    return [
        _words(experiment.data.class_names, *row) for row in zip(targets, weights, np.asarray(batch.label), strict=True)
    ]


def _words(names: Sequence[str], target: np.ndarray, weight: float, label: int) -> str:
    if label < 0:
        return "no label"
    likely = [
        k for k in np.argsort(-target, kind="stable")[:MOST_SHARES] if target[k] > max(LEAST_SHARE, 1.5 * target.min())
    ]
    lines = [f"{_short(names[k])}: {target[k]:.2f}" for k in likely]
    return "\n".join([*lines, *([f"weight {weight:.2f}"] if abs(weight - 1) > LEAST_SHARE else [])])


def _class_names(names: Sequence[str], label: np.ndarray) -> list[str]:
    """What rows [B] are labelled; [] where labels are maps."""
    return [_short(names[k]) if k >= 0 else "no label" for k in label.tolist()] if label.ndim == 1 else []


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _joined(above: Sequence[str], below: Sequence[str]) -> list[str]:
    return ["\n".join(pair) for pair in zip(above, below, strict=True)] if above else list(below)
