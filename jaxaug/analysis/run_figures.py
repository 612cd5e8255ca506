"""The figures of one run, from its folder: what it learned about its rows, what its final state says of the test split.

`weights.png`, `soft_labels.png`, `augmentation.png`: from `findings.npz`. `learning.png`: from `metrics.jsonl`.
`confusion.png`, `tsne.png`: from the last checkpoint, as `augmentation.png` is where all rows share one policy.
"""

from __future__ import annotations

import functools
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxaug import viz
from jaxaug.augment import compose
from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import replicated
from jaxaug.core.types import TrainState
from jaxaug.data.dataset import Split
from jaxaug.data.loader import Loader, RowSource
from jaxaug.policies.learnable import NAME, initial_offsets
from jaxaug.policies.policy import Policy
from jaxaug.runs.history import read_history
from jaxaug.train.experiment import Experiment, build_experiment
from jaxaug.train.exports import FILE
from jaxaug.train.restore import load_config, load_state
from jaxaug.train.step import batch_of

TSNE_ROWS = 2000  # its time grows faster than their number


def draw_run(
    folder: str | pathlib.Path, out: str | pathlib.Path | None = None, tsne_rows: int = TSNE_ROWS
) -> dict[str, str]:
    """Draw every figure of `FIGURES` for which the run has what it takes, into `out` (None: the run's folder).

    Gives the name of each figure with "" if it was drawn, else why not. tsne_rows: test rows in tsne.png at most.
    Raises UsageError if the folder is not that of a run, and if nothing can be written.
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
    """A run by its folder; everything is read when it is first asked for. Methods give figures.

    Raises UsageError at once if it is not the folder of a run, later for what the run lacks.
    """

    def __init__(self, folder: str | pathlib.Path, tsne_rows: int = TSNE_ROWS):
        if tsne_rows < 1:
            raise UsageError(f"the rows of t-SNE must be at least 1, got {tsne_rows}")
        self.folder, self.config, self._tsne_rows = pathlib.Path(folder), load_config(folder), tsne_rows

    @property
    def job(self) -> Experiment:
        """The config made into functions, with the data."""
        if isinstance(self._prepared, UsageError):
            raise self._prepared
        return self._prepared

    @functools.cached_property
    def _prepared(self) -> Experiment | UsageError:
        # The mistake is kept too: several figures ask, and reading the data takes long.
        try:
            return build_experiment(self.config)
        except UsageError as error:
            return error

    @functools.cached_property
    def state(self) -> TrainState:
        """The final state."""
        return load_state(self.folder, self.job)

    @functools.cached_property
    def on_test(self) -> tuple[np.ndarray, np.ndarray]:
        """(class int32 [N], features [N D]) of the test rows."""
        return predictions(self.job, self.state, self.job.data.test)

    @functools.cached_property
    def found(self) -> dict[str, np.ndarray]:
        """The arrays of `findings.npz`."""
        try:
            with np.load(self.folder / FILE, allow_pickle=False) as content:
                return dict(content)
        except FileNotFoundError:
            raise UsageError("no search has learned anything about the rows, or the run is not complete") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"{FILE} cannot be read: {error}") from None

    @property
    def clean(self) -> np.ndarray | None:
        """The true labels [N] of the training rows, None if unknown."""
        return self.found.get("clean")

    def class_names(self) -> tuple[str, ...]:
        """Those of the data set, or numbers where the data cannot be read."""
        if isinstance(self._prepared, Experiment):
            return self._prepared.data.class_names
        labels = [self.found[name] for name in ("given", "clean", "soft", "says") if name in self.found]
        return tuple(map(str, range(1 + max(int(one.max()) for one in labels))))

    def weights(self) -> Any:
        """Learned weights, of clean and of mislabelled rows where they are known."""
        wrong = None if self.clean is None else self.found["given"] != self.clean
        return viz.weight_histogram(self._learned("weight", "weights"), wrong)

    def soft_labels(self) -> Any:
        """The soft labels that flipped."""
        soft = self._learned("soft", "soft labels")
        return viz.soft_label_flips(self.found["given"], soft, self.clean, self.class_names())

    def augmentation(self) -> Any:
        """How often and how strongly each operation is used, by class where rows have policies of their own."""
        policy, sharing = policy_of(self.config)
        if sharing == "shared":
            return viz.policy_usage(policy, jax.device_get(self.state.meta.shared[NAME]), None, ())
        offsets = {name: self._learned(name, "policies") for name in initial_offsets(policy)}
        label, what = (self.found["given"], "given class") if self.clean is None else (self.clean, "true class")
        return viz.policy_usage(policy, offsets, label, self.class_names(), what)

    def learning(self) -> Any:
        """Losses, errors and the search by epoch."""
        file = self.folder / "metrics.jsonl"
        history = read_history(file) if file.exists() else []
        if not history:
            raise UsageError("no epoch has been evaluated yet")
        return viz.learning_curves(history)

    def confusion(self) -> Any:
        """The confusion matrix of the test rows."""
        return viz.confusion_matrix(self.job.data.test.label, self.on_test[0], self.job.data.class_names)

    def tsne(self) -> Any:
        """The features of test rows in a plane."""
        features, test = self.on_test[1], self.job.data.test
        rows = np.sort(np.random.default_rng(0).permutation(len(test))[: self._tsne_rows])
        return viz.embedding(viz.tsne(features[rows]), test.label[rows], self.job.data.class_names)

    def _learned(self, name: str, what: str) -> np.ndarray:
        if name not in self.found:
            raise UsageError(f"no {what} were learned")
        return self.found[name]


FIGURES: dict[str, Callable[[RunFigures], Any]] = {
    f"{make.__name__}.png": make
    for make in (
        RunFigures.learning,
        RunFigures.weights,
        RunFigures.soft_labels,
        RunFigures.augmentation,
        RunFigures.confusion,
        RunFigures.tsne,
    )
}


def policy_of(config: ConfigDict) -> tuple[Policy, str]:
    """(the policy that a search may change, as it begins; "shared" or "per_row"). UsageError if there is none."""
    part = compose.learned_transform_of(config.augment)
    if part is None:
        raise UsageError("no policy was learned beside the training; one that was searched after it is in policy.png")
    return part.policy, "per_row" if part.meta.per_example else "shared"


def predictions(job: Experiment, state: TrainState, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """(class int32 [N], features [N D]) that the model gives the rows of a split, without augmentation."""

    def step(state: TrainState, fed: RowSource) -> tuple[jax.Array, jax.Array]:
        found = job.predict(state, batch_of(*fed))
        return found.logits.argmax(-1), found.features

    jitted = jax.jit(step, out_shardings=replicated(job.mesh))
    feed = Loader(split, job.mesh, job.config.data.place)
    parts = [jax.device_get(jitted(state, fed)) for fed in feed.whole(job.config.eval_batch_size)]
    classes, features = (np.concatenate(some)[: len(split)] for some in zip(*parts, strict=True))
    return classes, features
