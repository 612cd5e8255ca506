"""Checkpoints of a run, by orbax: written in the background, the latest and the best kept, checked before reading.

Orbax notices a damaged index, not a damaged array: a flipped bit would go on as another number. So the digest of each
checkpoint's files is kept beside it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import pathlib
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import unflatten_dict
from orbax.checkpoint import v1 as ocp

from jaxaug.core.atomic_io import write_text
from jaxaug.core.cluster import lost_process
from jaxaug.core.digest import digest_of_folder
from jaxaug.core.errors import CannotGoOnError, UsageError
from jaxaug.core.sharding import any_process, is_main_process
from jaxaug.runs.history import RESTART

State = Any  # a record with `step` [] int32 and `key`, a typed PRNG key, among its fields
STRUCTURE = "structure.json"
DIGESTS = "digests.json"  # step -> digest of the files of its checkpoint
_PATIENCE = 0.05  # seconds between two looks whether a checkpoint is written


class Checkpointer:
    """The checkpoints in a folder. `structure.json` beside them tells what state they hold, and of what.

    Args:
      directory: the folder; of etils, in a bucket.
      about: names that a run must share with the checkpoint it goes on from, for example of its model and data set.
      best: the metric of a record by which the best checkpoint is kept; higher is better.
    """

    def __init__(self, directory: pathlib.Path, about: Mapping[str, str] | None = None, best: str = "validation_top1"):
        self._about, self._best = dict(about or {}), best
        # Elsewhere, in a bucket, the store itself checks what it is given and gives, and names are whole.
        self._here = isinstance(directory, pathlib.Path)
        # Orbax accepts a relative path and fails only when the save finishes.
        self.directory = directory.resolve() if self._here else directory
        self._started: int | None = None
        self._digests = _DigestKeeper(self.directory)
        keep = ocp.training.preservation_policies
        self._checkpoints = ocp.training.Checkpointer(
            self.directory,
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=keep.AnyPreservationPolicy(
                [
                    keep.LatestN(2),
                    keep.BestN(get_metric_fn=lambda m: m[best], n=1, keep_checkpoints_without_metrics=False),
                ]
            ),
            cleanup_tmp_directories=True,
        )

    @property
    def latest(self) -> int | None:
        """The step of the newest complete checkpoint."""
        found = self._checkpoints.latest
        return None if found is None else found.step

    def restore(self, abstract: State, step: int | None = None) -> State | None:
        """The newest state (or that of `step`), from which a run is resumed; None if there is none.

        Args:
          abstract: shapes, dtypes and shardings of the state this run expects (`jax.eval_shape`).
          step: of a checkpoint that is there.

        Raises:
          UsageError: the checkpoint is of another model or data set, with the first differences.
          CannotGoOnError: it is damaged.
        """
        if self.latest is None:
            return None
        saved = self._structure()
        # What only the checkpoint tells about itself is no difference: not every reader knows as much as the run did.
        asked = {name: value for name, value in saved["about"].items() if name in self._about}
        self._compare({**saved["arrays"], **asked}, {**tree_structure(abstract), **self._about})
        chosen = self.latest if step is None else step
        # Every process asks, so that none waits for one that has stopped.
        if any_process(self._here and is_main_process() and not self._digests.same(chosen)):
            raise self._damaged(chosen, "its files are not those that were written")
        try:
            loaded = self._checkpoints.load(chosen, _without_key(abstract))
        except Exception as error:  # orbax raises many kinds; after the comparison all mean files it cannot read
            raise self._damaged(chosen, str(error).partition("\n")[0][:200]) from error
        return _with_key(loaded, jax.random.wrap_key_data)

    def _structure(self) -> dict[str, Any]:
        try:
            found = json.loads((self.directory / STRUCTURE).read_text())
            return {"about": dict(found["about"]), "arrays": dict(found["arrays"])}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CannotGoOnError(
                f"{self.directory / STRUCTURE}, which says of what the checkpoints are, is damaged: {error!r}. Put "
                f"back a copy, choose another --workdir, {RESTART}."
            ) from None

    def _damaged(self, step: int, why: str) -> CannotGoOnError:
        others = [one.step for one in self._checkpoints.checkpoints if one.step < step]
        there = (
            f"Move it away to go on from step {max(others)}" if others else "There is no earlier one: put back a copy"
        )
        return CannotGoOnError(
            f"the checkpoint {self.directory / str(step)} is damaged: {why}. {there}, choose another "
            f"--workdir, {RESTART}."
        )

    def save(self, state: State, metrics: Mapping[str, float]) -> None:
        """Start writing the state as checkpoint `state.step`; returns when the device arrays are copied.

        Args:
          state: what is saved.
          metrics: the record of its epoch, which may have the metric of the best checkpoint.
        """
        step = int(state.step)
        if step in (self._started, self.latest):
            return
        self._started = step
        if jax.process_index() == 0:
            self.directory.mkdir(parents=True, exist_ok=True)
            structure = {"about": self._about, "arrays": tree_structure(state)}
            # In a bucket every file is there whole or not at all.
            write = write_text if self._here else type(self.directory).write_text
            write(self.directory / STRUCTURE, json.dumps(structure, indent=0))
        scored = {self._best: metrics[self._best]} if self._best in metrics else None
        with self._told():
            self._checkpoints.save_async(step, _with_key(state, jax.random.key_data), metrics=scored, force=True)
        if self._here and is_main_process():
            self._digests.expect(step)

    def close(self) -> None:
        """Wait until everything is on the disk. Raises UsageError if it could not be written."""
        try:
            with self._told():
                self._checkpoints.close()
        finally:
            self._digests.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What hinders orbax from writing, now or in the background before, is told in a line."""
        try:
            yield
        except Exception as error:  # the file system's errors, and those of tensorstore, which are of many kinds
            if lost := lost_process(error):
                raise lost from None
            kept, why = self.latest, str(error).partition("\n")[0][:300]
            raise UsageError(
                f"a checkpoint could not be written in {self.directory}: {why}. Make room, or the folder writable; "
                + ("no earlier one was due, and " if kept is None else f"that of step {kept} is kept, and ")
                + "the same command goes on"
            ) from error

    def _compare(self, saved: dict[str, str], expected: dict[str, str]) -> None:
        lines = [
            f"  {name}: checkpoint {saved.get(name, 'nothing')}, this run {expected.get(name, 'nothing')}"
            for name in sorted(saved.keys() | expected.keys())
            if saved.get(name) != expected.get(name)
        ]
        if lines:
            more = f"\n  and {len(lines) - 3} more" if len(lines) > 3 else ""
            raise UsageError(
                f"the checkpoint in {self.directory} is of another model, data set or optimiser:\n"
                + "\n".join(lines[:3])
                + more
                + "\nUse its config, or another --workdir."
            )


class _DigestKeeper:
    """The digests of complete checkpoints, taken in the background.

    A thread waits for the folder, which orbax renames when all of it is written: a process that is killed later leaves
    a checkpoint that can be checked.
    """

    def __init__(self, directory: pathlib.Path):
        self._directory, self._file = directory, directory / DIGESTS
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def expect(self, step: int) -> None:
        """Take the digest of a checkpoint that is being written."""
        self.close()  # orbax has waited for the last one
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._note, args=(step,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take what is still to be taken: what is written by now."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def same(self, step: int) -> bool:
        """Whether a checkpoint is what was written; true where nothing was written down."""
        known = self._read().get(str(step))
        return known is None or known == digest_of_folder(self._directory / str(step))

    def _note(self, step: int) -> None:
        folder = self._directory / str(step)
        while not folder.exists() and not self._closing.wait(_PATIENCE):
            pass
        try:
            there = {name: one for name, one in self._read().items() if (self._directory / name).exists()}
            write_text(self._file, json.dumps({**there, str(step): digest_of_folder(folder)}))
        except OSError as error:  # another writing has failed too, and is told
            logging.getLogger(__name__).debug("no digest of %s: %s", folder, error)

    def _read(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._file.read_text()))
        except (OSError, ValueError):
            return {}


def is_checkpoint(path: pathlib.Path) -> bool:
    """Whether a path is the folder of one complete checkpoint."""
    return path.name.isdigit() and path.is_dir() and (path.parent / STRUCTURE).exists()


def saved_steps(directory: pathlib.Path) -> list[int]:
    """The steps of the complete checkpoints in a folder, in order; nothing is opened, and none may be there."""
    found = directory.iterdir() if directory.is_dir() else ()
    return sorted(int(path.name) for path in found if path.name.isdigit())


def saved_shapes(directory: pathlib.Path, field: str, sharding: jax.sharding.Sharding) -> dict[str, Any]:
    """The arrays of a field of the saved states, a nested dict of shapes as `load_part` takes it; {} if there are none.

    Args:
      directory: of the checkpoints.
      field: such as "params", or "task_state".
      sharding: of all of them.

    Raises:
      UsageError: what says so is damaged.
    """
    found = {}
    try:
        for path, told in json.loads((directory / STRUCTURE).read_text())["arrays"].items():
            dtype, _, shape = told.removesuffix("]").partition("[")
            if re.fullmatch(rf"\.{field}(\['[^']*'\])+", path):
                sizes = tuple(int(size) for size in shape.split(",") if size)
                names = tuple(re.findall(r"\['([^']*)'\]", path))
                found[names] = jax.ShapeDtypeStruct(sizes, jnp.dtype(dtype), sharding=sharding)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{directory / STRUCTURE} cannot be read: {error!r}") from None
    return unflatten_dict(found)


def load_part(directory: pathlib.Path, step: int, part: Mapping[str, Any]) -> dict[str, Any]:
    """Some fields of a saved state; whoever goes on with the run is not disturbed.

    Args:
      directory: of the checkpoints.
      step: of a checkpoint that is there.
      part: name of a field -> shapes, dtypes and shardings of its arrays.

    Raises:
      UsageError: the checkpoint has other arrays there, or is damaged.
    """
    folder = (directory.resolve() if isinstance(directory, pathlib.Path) else directory) / str(step)
    context = ocp.Context()
    context.pytree.loading.partial_load = True
    try:
        saved = json.loads((directory / STRUCTURE).read_text())["arrays"]
        asked = {f".{name}{path}": told for name, tree in part.items() for path, told in tree_structure(tree).items()}
        other = [
            f"{path}: {saved.get(path, 'nothing')}, not {told}"
            for path, told in asked.items()
            if saved.get(path) != told
        ]
        if other:
            raise UsageError(f"the checkpoint {folder} is of another model than its run's config names: {other[0]}")
        if not _DigestKeeper(directory).same(step):
            raise UsageError(f"the checkpoint {folder} is damaged: its files are not those that were written")
        with context:
            return dict(ocp.load_checkpointables(folder, {"state": dict(part)})["state"])
    except UsageError:
        raise
    except Exception as error:  # orbax raises many kinds; after the comparison all mean files it cannot read
        raise UsageError(f"the checkpoint {folder} cannot be read: {str(error).partition(chr(10))[0][:200]}") from error


def tree_structure(state: Any) -> dict[str, str]:
    """path -> 'dtype[shape]' of every array of a state."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


@jax.jit
def all_finite(tree: Any) -> jax.Array:
    """Whether every number of a pytree is finite -> [] bool; true where there is none."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves])) if leaves else jnp.array(True)


def _with_key(state: State, convert: Any) -> State:
    return state.replace(key=convert(state.key))


def _without_key(abstract: State) -> State:
    """The abstract state with the key as the plain array that is stored."""
    plain = jax.eval_shape(jax.random.key_data, abstract.key)
    return abstract.replace(key=jax.ShapeDtypeStruct(plain.shape, plain.dtype, sharding=abstract.step.sharding))
