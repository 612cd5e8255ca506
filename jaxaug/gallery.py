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

from jaxaug import devices, findings, finished, portraits, steps, workdir
from jaxaug.augment import learned, pipeline
from jaxaug.augment.policies import Policy
from jaxaug.data import Split
from jaxaug.errors import UsageError
from jaxaug.feed import Fed, Feed
from jaxaug.job import Job, prepare
from jaxaug.types import TrainState

TSNE_ROWS = 2000  # its time grows faster than their number


def draw(
    folder: str | pathlib.Path, out: str | pathlib.Path | None = None, tsne_rows: int = TSNE_ROWS
) -> dict[str, str]:
    """Draw every figure of `FIGURES` for which the run has what it takes, into `out` (None: the run's folder).

    Gives the name of each figure with "" if it was drawn, else why not. tsne_rows: test rows in tsne.png at most.
    Raises UsageError if the folder is not that of a run, and if nothing can be written.
    """
    run, out = FinishedRun(folder, tsne_rows), pathlib.Path(out or folder)
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


class FinishedRun:
    """A run by its folder; everything is read when it is first asked for. Methods give figures.

    Raises UsageError at once if it is not the folder of a run, later for what the run lacks.
    """

    def __init__(self, folder: str | pathlib.Path, tsne_rows: int = TSNE_ROWS):
        if tsne_rows < 1:
            raise UsageError(f"the rows of t-SNE must be at least 1, got {tsne_rows}")
        self.folder, self.config, self._tsne_rows = pathlib.Path(folder), finished.config_of(folder), tsne_rows

    @property
    def job(self) -> Job:
        """The config made into functions, with the data."""
        if isinstance(self._prepared, UsageError):
            raise self._prepared
        return self._prepared

    @functools.cached_property
    def _prepared(self) -> Job | UsageError:
        # The mistake is kept too: several figures ask, and reading the data takes long.
        try:
            return prepare(self.config)
        except UsageError as error:
            return error

    @functools.cached_property
    def state(self) -> TrainState:
        """The final state."""
        return finished.state_of(self.folder, self.job)

    @functools.cached_property
    def on_test(self) -> tuple[np.ndarray, np.ndarray]:
        """(class int32 [N], features [N D]) of the test rows."""
        return said(self.job, self.state, self.job.data.test)

    @functools.cached_property
    def found(self) -> dict[str, np.ndarray]:
        """The arrays of `findings.npz`."""
        try:
            with np.load(self.folder / findings.FILE, allow_pickle=False) as content:
                return dict(content)
        except FileNotFoundError:
            raise UsageError("no search has learned anything about the rows, or the run is not complete") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"{findings.FILE} cannot be read: {error}") from None

    @property
    def clean(self) -> np.ndarray | None:
        """The true labels [N] of the training rows, None if unknown."""
        return self.found.get("clean")

    def class_names(self) -> tuple[str, ...]:
        """Those of the data set, or numbers where the data cannot be read."""
        if isinstance(self._prepared, Job):
            return self._prepared.data.class_names
        labels = [self.found[name] for name in ("given", "clean", "soft", "says") if name in self.found]
        return tuple(map(str, range(1 + max(int(one.max()) for one in labels))))

    def weights(self) -> Any:
        """Learned weights, of clean and of mislabelled rows where they are known."""
        wrong = None if self.clean is None else self.found["given"] != self.clean
        return portraits.weights(self._learned("weight", "weights"), wrong)

    def soft_labels(self) -> Any:
        """The soft labels that flipped."""
        soft = self._learned("soft", "soft labels")
        return portraits.soft_labels(self.found["given"], soft, self.clean, self.class_names())

    def augmentation(self) -> Any:
        """How often and how strongly each operation is used, by class where rows have policies of their own."""
        policy, sharing = policy_of(self.config)
        if sharing == "shared":
            return portraits.augmentation(policy, jax.device_get(self.state.hyper.shared[learned.NAME]), None, ())
        offsets = {name: self._learned(name, "policies") for name in learned.no_offsets(policy)}
        label, what = (self.found["given"], "given class") if self.clean is None else (self.clean, "true class")
        return portraits.augmentation(policy, offsets, label, self.class_names(), what)

    def learning(self) -> Any:
        """Losses, errors and the search by epoch."""
        file = self.folder / "metrics.jsonl"
        history = workdir.read_history(file) if file.exists() else []
        if not history:
            raise UsageError("no epoch has been evaluated yet")
        return portraits.learning(history)

    def confusion(self) -> Any:
        """The confusion matrix of the test rows."""
        return portraits.confusion(self.job.data.test.label, self.on_test[0], self.job.data.class_names)

    def tsne(self) -> Any:
        """The features of test rows in a plane."""
        features, test = self.on_test[1], self.job.data.test
        rows = np.sort(np.random.default_rng(0).permutation(len(test))[: self._tsne_rows])
        return portraits.embedding(portraits.tsne(features[rows]), test.label[rows], self.job.data.class_names)

    def _learned(self, name: str, what: str) -> np.ndarray:
        if name not in self.found:
            raise UsageError(f"no {what} were learned")
        return self.found[name]


FIGURES: dict[str, Callable[[FinishedRun], Any]] = {
    f"{make.__name__}.png": make
    for make in (
        FinishedRun.learning,
        FinishedRun.weights,
        FinishedRun.soft_labels,
        FinishedRun.augmentation,
        FinishedRun.confusion,
        FinishedRun.tsne,
    )
}


def policy_of(config: ConfigDict) -> tuple[Policy, str]:
    """(the policy that a search may change, as it begins; "shared" or "per_row"). UsageError if there is none."""
    part = pipeline.tuned_part(config.augment)
    if part is None:
        raise UsageError("no policy was learned beside the training; one that was searched after it is in policy.png")
    return part.policy, "per_row" if part.hyper.own else "shared"


def said(job: Job, state: TrainState, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """(class int32 [N], features [N D]) that the model gives the rows of a split, without augmentation."""

    def step(state: TrainState, fed: Fed) -> tuple[jax.Array, jax.Array]:
        found = job.predict(state, steps.of_rows(*fed))
        return found.logits.argmax(-1), found.features

    jitted = jax.jit(step, out_shardings=devices.everywhere(job.mesh))
    feed = Feed(split, job.mesh, job.config.data.place)
    parts = [jax.device_get(jitted(state, fed)) for fed in feed.whole(job.config.eval_batch_size)]
    classes, features = (np.concatenate(some)[: len(split)] for some in zip(*parts, strict=True))
    return classes, features
