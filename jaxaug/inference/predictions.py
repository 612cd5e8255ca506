"""Predictions of many images, written as they come: CSV or JSON lines, and the features as an .npz."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from jaxaug.core.errors import UsageError
from jaxaug.inference.files import Inputs, NamedBatch
from jaxaug.inference.trained_run import Predictions, TrainedRun

FORMATS = (".csv", ".jsonl")
_PATIENCE = 1  # seconds until a bar shows


class Counts(NamedTuple):
    """How many images were predicted, and how many could not be read."""

    predicted: int
    skipped: int


def predict_files(
    run: TrainedRun,
    inputs: Sequence[str | pathlib.Path],
    out: IO[str] | str | pathlib.Path,
    *,
    style: str = "",
    features: str | pathlib.Path = "",
    top: int = 5,
    batch_size: int = 0,
    temperature: float = 1.0,
    bar: bool = False,
    told: Callable[[str], None] = lambda line: None,
) -> Counts:
    """Write what a run's network says of images; memory holds two batches of them.

    Args:
      run: as `load` gives it.
      inputs: folders, image files, .npz or .npy files, see `Inputs`.
      out: a stream, or a file that ends in .csv or .jsonl.
      style: "csv" or "jsonl"; "" for that of the file's ending.
      features: an .npz for the features [n D] float32 and the names [n] of the images; "" for none.
      top: classes of an image that are written, the likeliest first.
      batch_size: images at a time; 0 for that of the run's evaluations.
      temperature: by which the logits are divided.
      bar: whether to draw a progress bar on stderr, if that is a terminal.
      told: is given a line for each image that cannot be read.

    Raises:
      UsageError: what `Inputs` refuses, no image that can be read, or a file that cannot be written.
    """
    if run.has_maps:
        raise UsageError(f"the run in {run.folder} says a class for each pixel: predict_label_maps writes its pictures")
    if top < 1 or batch_size < 0:
        raise UsageError(f"predict: top must be at least 1 and batch_size at least 0, got {top} and {batch_size}")
    style = style or _style_of(out)
    found = Inputs(inputs, run.signature)
    size = min(batch_size or run.config.eval_batch_size, len(found))
    skipped: list[pathlib.Path] = []

    def skip(file: pathlib.Path, why: str) -> None:
        skipped.append(file)
        told(f"skipped: {why}")

    count = 0
    with stream_of(out) as stream, _features_file(features) as keep, progress_bar(len(found), bar) as drawn:
        write = _writer(stream, style, run.class_names, min(top, len(run.class_names)))
        for batch, said in _said(run, found.batches(size, skip), size, temperature):
            write(batch.names, said)
            keep(batch.names, said.features)
            count += len(batch.names)
            drawn.update(count + len(skipped) - drawn.n)
        if not count:
            raise UsageError(f"none of {len(found)} images can be read, the first of them is {skipped[0]}")
    return Counts(count, len(skipped))


def progress_bar(total: int, wanted: bool) -> tqdm:
    """A bar of images, where it is wanted and stderr is a terminal."""
    # None: only where stderr is a terminal.
    return tqdm(total=total, unit="image", delay=_PATIENCE, disable=None if wanted else True)


def _said(
    run: TrainedRun, batches: Iterator[NamedBatch], size: int, temperature: float
) -> Iterator[tuple[NamedBatch, Predictions]]:
    """Each batch with what the network says of it."""
    waiting: list[NamedBatch] = []

    def images() -> Iterator[np.ndarray]:
        for batch in batches:
            waiting.append(batch._replace(images=batch.images[:0]))
            yield batch.images

    for said in run.predict_batches(images(), size, temperature=temperature):
        yield waiting.pop(0), said


def _style_of(out: Any) -> str:
    if not isinstance(out, str | pathlib.Path):
        return "csv"
    ending = pathlib.Path(out).suffix.lower()
    if ending not in FORMATS:
        raise UsageError(f"predictions are written to a file that ends in {' or '.join(FORMATS)}, got {out}")
    return ending[1:]


def _writer(
    stream: IO[str], style: str, names: Sequence[str], top: int
) -> Callable[[Sequence[str], Predictions], None]:
    """A function that writes the rows of a batch."""
    table = csv.writer(stream, lineterminator="\n")
    if style == "csv":
        table.writerow(["image", *(f"{word}_{i + 1}" for i in range(top) for word in ("class", "probability"))])

    def write(images: Sequence[str], said: Predictions) -> None:
        order = np.argsort(-said.probabilities, axis=1, kind="stable")[:, :top]
        for image, row, chosen in zip(images, said.probabilities, order, strict=True):
            likely = [(names[k], float(f"{row[k]:.6g}")) for k in chosen]
            if style == "csv":
                table.writerow([image, *(value for pair in likely for value in pair)])
            else:
                classes = [{"class": name, "probability": share} for name, share in likely]
                stream.write(json.dumps({"image": image, "classes": classes}) + "\n")

    return write


@contextlib.contextmanager
def stream_of(out: IO[str] | str | pathlib.Path) -> Iterator[IO[str]]:
    """A stream as it is; of a file, which is there once it is complete. Raises UsageError if it cannot be written."""
    if not isinstance(out, str | pathlib.Path):
        yield out
        return
    path = pathlib.Path(out)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", newline="", encoding="utf-8") as stream:
            yield stream
        os.replace(part, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _features_file(file: str | pathlib.Path) -> Iterator[Callable[[Sequence[str], np.ndarray], None]]:
    """Takes features batch by batch; when all are there they become the .npz, without ever being in memory together."""
    if not file:
        yield lambda images, features: None
        return
    path = pathlib.Path(file)
    names: list[str] = []
    width = 0
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent) as rows:

            def add(images: Sequence[str], features: np.ndarray) -> None:
                nonlocal width
                names.extend(images)
                width = features.shape[1]
                rows.write(np.ascontiguousarray(features, np.float32).tobytes())

            yield add
            rows.seek(0)
            part = path.with_name(f".{path.name}.part")
            with zipfile.ZipFile(part, "w", allowZip64=True) as archive:
                with archive.open("image.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(names))
                with archive.open("features.npy", "w", force_zip64=True) as member:
                    about = {"descr": "<f4", "fortran_order": False, "shape": (len(names), width)}
                    np.lib.format.write_array_header_1_0(member, about)
                    shutil.copyfileobj(rows, member)
            os.replace(part, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
