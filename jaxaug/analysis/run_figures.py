"""The figures of one run, from its folder: what it learned about its rows, what its final state says of the test split.

`weights.png`, `soft_labels.png`, `augmentation.png`: from `per_example.npz`. `learning.png`: from `metrics.jsonl`.
`confusion.png`, `tsne.png`: from the last checkpoint, as `augmentation.png` is where all rows share one policy. Of
label maps `confusion.png`, `class_iou.png` and `segmentation.png`, some test images beside what is said of them.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxaug import viz
from jaxaug.augment.compose import learned_transform_of
from jaxaug.core.errors import UsageError
from jaxaug.core.maps import resize_bilinear
from jaxaug.core.numpy_files import read_npz
from jaxaug.core.registry import instantiate
from jaxaug.core.sharding import replicated
from jaxaug.core.types import TrainState
from jaxaug.data.dataset import Split
from jaxaug.data.loader import Loader, RowSource
from jaxaug.policies.learnable import NAME, initial_offsets
from jaxaug.policies.policy import Policy
from jaxaug.runs.history import read_history
from jaxaug.runs.workdir import PER_EXAMPLE
from jaxaug.tasks.segmentation import class_iou, confusion_of
from jaxaug.train.evaluator import Evaluator
from jaxaug.train.experiment import Experiment, build_experiment
from jaxaug.train.finished_run import load_config
from jaxaug.train.saved_network import load_network_state
from jaxaug.train.step import batch_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TSNE_ROWS = 2000  # its time grows faster than their number
EXAMPLES = 6  # images in segmentation.png


def draw_run(
    folder: str | pathlib.Path, out: str | pathlib.Path | None = None, tsne_rows: int = TSNE_ROWS
) -> dict[str, str]:
    """Draw every figure of `FIGURES` for which a run has what it takes.

    Args:
      folder: of the run.
      out: where the figures go; None for the run's folder.
      tsne_rows: test rows in tsne.png at most.

    Returns:
      The name of each figure with "" if it was drawn, else why not.

    Raises:
      UsageError: the folder is not that of a run, or nothing can be written.
    """
    run, out = RunFigures(folder, tsne_rows), pathlib.Path(out or folder)
    told = {}
    for name, make in FIGURES.items():
        try:
            figure = make(run)
        except UsageError as error:
            told[name] = str(error)
            continue
        try:
            out.mkdir(parents=True, exist_ok=True)
            figure.savefig(out / name, dpi=120)
        except OSError as error:
            raise UsageError(f"cannot write {out / name}: {error.strerror}") from None
        told[name] = ""
    return told


class RunFigures:
    """The figures of a run, one a method; everything is read when it is first asked for.

    Args:
      folder: of the run.
      tsne_rows: test rows in `tsne` at most.

    Raises:
      UsageError: at once if it is not the folder of a run, later for what the run lacks.
    """

    def __init__(self, folder: str | pathlib.Path, tsne_rows: int = TSNE_ROWS):
        if tsne_rows < 1:
            raise UsageError(f"tsne_rows must be at least 1, got {tsne_rows}")
        self.folder, self.config, self._tsne_rows = pathlib.Path(folder), load_config(folder), tsne_rows

    @property
    def experiment(self) -> Experiment:
        """The config made into functions, with the data."""
        if isinstance(self._built, UsageError):
            raise self._built
        return self._built

    @functools.cached_property
    def _built(self) -> Experiment | UsageError:
        # The mistake is kept too: several figures ask, and reading the data takes long.
        try:
            return build_experiment(self.config)
        except UsageError as error:
            return error

    @functools.cached_property
    def state(self) -> TrainState:
        """What evaluations need of the newest checkpoint."""
        return load_network_state(self.folder, self.experiment)

    @functools.cached_property
    def on_test(self) -> tuple[np.ndarray, np.ndarray]:
        """(class int32 [N], features float [N, D]) of the test rows."""
        if self.has_maps:
            raise UsageError("its labels are maps, not one class for each row")
        return predictions(self.experiment, self.state, self.experiment.data.test)

    @property
    def has_maps(self) -> bool:
        """Whether labels are maps."""
        return self.experiment.data.test.label.ndim != 1

    @functools.cached_property
    def pixels(self) -> np.ndarray:
        """The confusion matrix int64 [K K] of the test pixels."""
        if not self.has_maps:
            raise UsageError("its labels are classes of whole images, not maps")
        return confusion_of(Evaluator(self.experiment, self.experiment.data.test).totals(self.state))

    @functools.cached_property
    def found(self) -> dict[str, np.ndarray]:
        """The arrays of `per_example.npz`."""
        if not (self.folder / PER_EXAMPLE).is_file():
            raise UsageError("no search has learned anything about the rows, or the run is not complete")
        return read_npz(self.folder / PER_EXAMPLE)

    @property
    def clean(self) -> np.ndarray | None:
        """The true labels [N] of the training rows, None if unknown."""
        return self.found.get("clean")

    def class_names(self) -> tuple[str, ...]:
        """Of the data set, or numbers where the data cannot be read."""
        if isinstance(self._built, Experiment):
            return self._built.data.class_names
        labels = [self.found[name] for name in ("given", "clean", "soft", "says") if name in self.found]
        return tuple(map(str, range(1 + max(int(one.max()) for one in labels))))

    def weights(self) -> Figure:
        """Learned weights, of clean and of mislabelled rows where they are known."""
        wrong = None if self.clean is None else self.found["given"] != self.clean
        return viz.weight_histogram(self._learned("weight", "weights"), wrong)

    def soft_labels(self) -> Figure:
        """The soft labels that flipped."""
        soft = self._learned("soft", "soft labels")
        return viz.soft_label_flips(self.found["given"], soft, self.clean, self.class_names())

    def augmentation(self) -> Figure:
        """How often and how strongly each operation is used, by class where rows have policies of their own."""
        policy, per_row = learned_policy_of(self.config)
        if not per_row:
            return viz.policy_usage(policy, jax.device_get(self.state.meta.shared[NAME]), None, ())
        offsets = {name: self._learned(name, "policies") for name in initial_offsets(policy)}
        label, what = (self.found["given"], "given class") if self.clean is None else (self.clean, "true class")
        return viz.policy_usage(policy, offsets, label, self.class_names(), what)

    def learning(self) -> Figure:
        """Losses, errors and the search by epoch."""
        file = self.folder / "metrics.jsonl"
        history = read_history(file) if file.exists() else []
        if not history:
            raise UsageError("no epoch has been evaluated yet")
        return viz.learning_curves(history, instantiate("task", self.config.task.to_dict()).metric)

    def confusion(self) -> Figure:
        """The confusion matrix of the test rows, or of their pixels."""
        data = self.experiment.data
        if self.has_maps:
            return viz.pixel_confusion(self.pixels, data.class_names)
        return viz.confusion_matrix(data.test.label, self.on_test[0], data.class_names)

    def tsne(self) -> Figure:
        """The features of test rows in a plane."""
        features, data = self.on_test[1], self.experiment.data
        rows = np.sort(np.random.default_rng(0).permutation(len(data.test))[: self._tsne_rows])
        return viz.embedding(viz.tsne(features[rows]), data.test.label[rows], data.class_names)

    def class_iou(self) -> Figure:
        """The IoU of each class on the test split, where labels are maps."""
        names = self.experiment.data.class_names
        found = {name: None if np.isnan(x) else float(x) for name, x in zip(names, class_iou(self.pixels), strict=True)}
        return viz.class_iou({self.folder.resolve().parent.name: [found]})

    def segmentation(self) -> Figure:
        """Test images evenly from first to last, their label maps and what is said of them."""
        if not self.has_maps:
            raise UsageError("its labels are classes of whole images, not maps")
        data = self.experiment.data
        numbers = np.unique(np.linspace(0, len(data.test) - 1, EXAMPLES).round().astype(int))
        rows = data.test.at(numbers)
        said = said_of_pixels(self.experiment, self.state, rows)
        label = rows.label[:]  # which may be lazy
        known = label >= 0
        right = ((said == label) & known).sum((1, 2)) / np.maximum(known.sum((1, 2)), 1)
        titles = [f"test row {n}\n{share:.1%} right" for n, share in zip(numbers, right, strict=True)]
        return viz.segmentation_examples(rows.image[:], label, said, data.class_names, titles)

    def _learned(self, name: str, what: str) -> np.ndarray:
        if name not in self.found:
            raise UsageError(f"no {what} were learned")
        return self.found[name]


FIGURES: dict[str, Callable[[RunFigures], Figure]] = {
    f"{make.__name__}.png": make
    for make in (
        RunFigures.learning,
        RunFigures.weights,
        RunFigures.soft_labels,
        RunFigures.augmentation,
        RunFigures.confusion,
        RunFigures.tsne,
        RunFigures.class_iou,
        RunFigures.segmentation,
    )
}


def learned_policy_of(config: ConfigDict) -> tuple[Policy, bool]:
    """The policy that a search beside the training may change, as it begins, and whether each row has its own.

    Raises:
      UsageError: there is none.
    """
    augment = config.augment.to_dict()
    learned = learned_transform_of([instantiate("augment", slot) for slot in (*augment["train"], *augment["after"])])
    if learned is None:
        raise UsageError("no policy was learned beside the training; one that was searched after it is in policy.png")
    return learned.policy, bool(learned.meta.per_example)


def predictions(experiment: Experiment, state: TrainState, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """What a model says of the rows of a split, without augmentation.

    Args:
      experiment: that the state is of.
      state: with the model's parameters.
      split: of N rows.

    Returns:
      (class int32 [N], features float [N, D]).
    """

    def step(state: TrainState, rows: RowSource) -> tuple[jax.Array, jax.Array]:
        output = experiment.predict(state, batch_of(*rows))
        return experiment.task.predict(output), output.features

    jitted = jax.jit(step, out_shardings=replicated(experiment.mesh))
    loader = Loader(split, experiment.mesh, experiment.config.place)
    parts = [jax.device_get(jitted(state, rows)) for rows in loader.whole(experiment.config.eval_batch_size)]
    classes, features = (np.concatenate(some)[: len(split)] for some in zip(*parts, strict=True))
    return classes, features


def said_of_pixels(experiment: Experiment, state: TrainState, rows: Split) -> np.ndarray:
    """The class int [N H W] that a model says of each pixel of some rows with label maps, without augmentation."""

    def step(state: TrainState, rows: RowSource) -> jax.Array:
        batch = batch_of(*rows)
        logits = resize_bilinear(experiment.predict(state, batch).logits, batch.label.shape[1:])
        return jnp.argmax(logits, axis=-1)

    jitted = jax.jit(step, out_shardings=replicated(experiment.mesh))
    loader = Loader(rows, experiment.mesh, experiment.config.place)
    parts = [jax.device_get(jitted(state, some)) for some in loader.whole(experiment.config.eval_batch_size)]
    return np.concatenate(parts)[: len(rows)]
