"""What a network that is trained on all rows says of each of them, for `jaxaug label-errors`."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxaug.core.errors import Interrupted, UsageError
from jaxaug.core.sharding import replicated
from jaxaug.core.types import TrainState
from jaxaug.data.dataset import Split
from jaxaug.data.loader import Loader, RowSource
from jaxaug.label_errors.confident import balanced
from jaxaug.label_errors.patches import judge_by_patches
from jaxaug.label_errors.reading import Rows, as_dataset
from jaxaug.label_errors.scores import LabelIssues, find
from jaxaug.train.config import default_config
from jaxaug.train.experiment import Experiment, build_experiment, empty_training_totals, step_batches
from jaxaug.train.hooks.console import ProgressBar
from jaxaug.train.hooks.preemption import StopSignal
from jaxaug.train.step import batch_of, make_train_dispatch

PRIOR_ROWS = 10.0  # of a class of a few rows, which would draw in half of the others
EPOCHS = 36  # with the patches less time than cleanlab's four folds of 15 epochs
FEWEST, SEEN = 8, 360_000  # epochs of large sets, whose labels are learned by heart in fewer; images for all of it


class Judgement(NamedTuple):
    """What a training leaves of N rows.

    Attributes:
      probabilities: float32 [N K], the mean over the last epochs.
      features: float32 [N D], after the last epoch.
    """

    probabilities: np.ndarray
    features: np.ndarray


def find_in_rows(rows: Rows, epochs: int | None = None, seed: int = 0, trusted: Rows | None = None) -> LabelIssues:
    """Rank the labels of rows by what two judges say of them.

    One is a ridge regression on patches of the images, each row left out (`label_errors.patches`), the other a network
    that is trained on all rows (`judge`). They err differently, and together they find more than either (`agreed`);
    what they say is `balanced` between the classes.

    Args:
      rows: the images and their labels.
      epochs: of the network's training; 0 for the regression alone, None for `epochs_of`.
      seed: of everything random.
      trusted: rows of the same classes whose labels are right, to learn from beside the others.

    Raises:
      UsageError: fewer than two classes have rows, or whatever `judge` refuses.
      Interrupted: by Ctrl-C or SIGTERM.
    """
    present = np.unique(rows.label)
    if len(present) < 2:
        raise UsageError(
            f"all {len(rows.label)} rows are labelled {rows.class_names[present[0]]}: wrong labels show among two "
            "or more classes"
        )
    learned_from = rows if trusted is None else rows.beside(trusted)
    said, unlike = judge_by_patches(learned_from.image, learned_from.label, len(rows.class_names), seed)
    epochs = epochs_of(len(learned_from.label)) if epochs is None else epochs
    if epochs:
        said = agreed(judge(learned_from, judging_config(epochs, seed)).probabilities, said)
    said = said[: len(rows.label)]
    issues = find(rows.label, balanced(rows.label, said, PRIOR_ROWS), score="margin", prior_rows=PRIOR_ROWS)
    return issues._replace(unlike=unlike[: len(rows.label)])


def epochs_of(rows: int) -> int:
    """For how many epochs a network is trained on so many rows: 36, of more than 10,000 fewer, 8 at least."""
    return max(min(EPOCHS, round(SEEN / rows)), FEWEST)


def agreed(network: np.ndarray, patches: np.ndarray) -> np.ndarray:
    """What two judges say together: [N K] probabilities multiplied, each row to the sum 1.

    Of the patches it is the root, as they are as sure of themselves as the network and know less.
    """
    said = network * np.sqrt(patches)
    return said / np.maximum(said.sum(axis=1, keepdims=True), np.finfo(said.dtype).tiny)


def judging_config(epochs: int = EPOCHS, seed: int = 0) -> ConfigDict:
    """The training of `judge`: a small network, and images that look different each time it meets them.

    Args:
      epochs: of training, 1 or more; a network that sees rows too often learns wrong labels by heart.
      seed: of everything random.
    """
    config = default_config()
    config.epochs, config.seed, config.batch_size, config.eval_batch_size = epochs, seed, 32, 500
    config.augment.train = ({"name": "flip"}, {"name": "pad_and_crop", "padding": 4, "fill": "edge"})
    config.model = {"name": "convnet", "widths": (32, 64, 128), "downsampling": "max_pool", "dropout_rate": 0.1}
    schedule = {"name": "cosine", "warmup": 0.2 * epochs}
    config.optim = {"name": "adamw", "learning_rate": 2e-3, "weight_decay": 5e-4, "schedule": schedule}
    return config


def judge(rows: Rows, config: ConfigDict, last: float = 0.1, trained_on: np.ndarray | None = None) -> Judgement:
    """Train on all rows, and keep what the network says of each after every one of the last epochs.

    Args:
      rows: the images and their labels.
      config: of the training; its data set is these rows.
      trained_on: int [M], rows to train on; None for all.
      last: the share of the epochs whose probabilities are averaged, at least one epoch.

    Raises:
      UsageError: whatever is wrong with the config, or a loss that is not finite.
      Interrupted: by Ctrl-C or SIGTERM.
    """
    everything = as_dataset(rows)
    trained = everything if trained_on is None else everything.keep(trained_on)
    config.batch_size = min(config.batch_size, len(trained.train))
    experiment = build_experiment(config, load=lambda _: trained)
    epochs = max(round(last * config.epochs), 1)
    with StopSignal() as stop:
        return _trained(experiment, everything.train, epochs, stop)


def _trained(experiment: Experiment, judged: Split, last: int, stop: StopSignal) -> Judgement:
    everywhere = replicated(experiment.mesh)
    loader, all_rows = (Loader(split, experiment.mesh, "device") for split in (experiment.data.train, judged))
    dispatch = jax.jit(make_train_dispatch(experiment.train_step), donate_argnums=(0, 1))
    look = jax.jit(_make_look(experiment), out_shardings=everywhere)
    state = experiment.begin()
    empty = jax.jit(lambda: empty_training_totals(experiment), out_shardings=everywhere)
    totals, each, seen = empty(), experiment.steps_per_epoch, []
    bar = ProgressBar("label errors", experiment.total_steps, 0, visible=True)
    try:
        for step, rows in step_batches(experiment, 0):
            state, totals = dispatch(state, totals, loader(rows))
            done = step + len(rows)
            if stop:
                raise Interrupted(f"stopped as asked after step {step} of {experiment.total_steps}; nothing is kept")
            if done % experiment.config.log_every == 0 or done % each == 0:
                metrics = totals.means()
                if not np.isfinite(metrics["loss"]):
                    raise UsageError(f"the loss is not finite before step {done}: lower the learning rate")
                bar.update(done, metrics)
            if done % each == 0:
                totals = empty()
            if done % each == 0 and done // each > experiment.config.epochs - last:
                seen.append(_looked(look, state, all_rows, len(judged), experiment.config.eval_batch_size))
    finally:
        bar.close()
    probabilities = np.mean([one for one, _ in seen], axis=0)
    return Judgement(probabilities, seen[-1][1])


def _make_look(experiment: Experiment):
    def look(state: TrainState, rows: RowSource) -> tuple[jax.Array, jax.Array]:
        """The mean over the image and its mirror image."""
        batch = batch_of(*rows)
        mirrored = batch.replace(image=jnp.flip(batch.image, axis=2))
        ahead, back = experiment.predict(state, batch), experiment.predict(state, mirrored)
        said = (jax.nn.softmax(ahead.logits) + jax.nn.softmax(back.logits)) / 2
        return said.astype(jnp.float32), ((ahead.features + back.features) / 2).astype(jnp.float32)

    return look


def _looked(look, state: TrainState, loader: Loader, count: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    parts = [jax.device_get(look(state, rows)) for rows in loader.whole(batch_size)]
    said, features = (np.concatenate(one)[:count] for one in zip(*parts, strict=True))
    return said, features
