"""What a network of label maps says of many images, as pictures: maps in the colors of their classes, and overlays."""

from __future__ import annotations

import csv
import io
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from jaxaug.core.atomic_io import write_bytes
from jaxaug.core.errors import UsageError
from jaxaug.core.file_names import names_without_endings
from jaxaug.data.storage.image_reader import in_threads
from jaxaug.inference.files import Inputs
from jaxaug.inference.predictions import Counts, progress_bar, stream_of
from jaxaug.inference.trained_run import TrainedRun
from jaxaug.viz.label_maps import class_palette, overlay

LABELS, OVERLAYS, TABLE, CLASSES = "labels", "overlays", "predictions.csv", "classes.csv"
MOST_COLORS = 256  # of a PNG's palette; more classes are written as gray of 16 bits
QUALITY = 90  # of overlays, as JPEG


def predict_label_maps(
    run: TrainedRun,
    inputs: Sequence[str | pathlib.Path],
    out: str | pathlib.Path,
    *,
    batch_size: int = 0,
    resize: bool | None = None,
    bar: bool = False,
    told: Callable[[str], None] = lambda line: None,
) -> Counts:
    """Write what a run's network says of each pixel of images, each at its own size; memory holds a batch of them.

    `labels/<name>.png` has the numbers of the classes and a palette, which pictures show as colors (more than 256
    classes: gray of 16 bits); `overlays/<name>.jpg` the colors over the image; `predictions.csv` the files of each
    image, `classes.csv` number, name and color of each class. Names are those of the files below the folder that all of
    them are in, with their ending where two would share one.

    Args:
      run: as `load` gives it.
      inputs: folders, image files, .npz or .npy files, see `Inputs`; of any sizes.
      out: the folder to write into.
      batch_size: images at a time; 0 for that of the run's evaluations.
      resize: as in `TrainedRun.predict`.
      bar: whether to draw a progress bar on stderr, if that is a terminal.
      told: is given a line for each image that cannot be read.

    Raises:
      UsageError: a run without label maps, what `Inputs` refuses, no image that can be read, or a folder that cannot be
        written.
    """
    if not run.has_maps:
        raise UsageError(f"the run in {run.folder} says a class for each image: predict_files writes them")
    found, out = Inputs(inputs, run.signature, own_size=True), pathlib.Path(out)
    size = min(batch_size or run.config.eval_batch_size, len(found))
    names, palette = _names(found), class_palette(run.class_names)
    skipped: list[pathlib.Path] = []

    def skip(file: pathlib.Path, why: str) -> None:
        skipped.append(file)
        told(f"skipped: {why}")

    def write(task: tuple[str, np.ndarray, np.ndarray]) -> None:
        name, picture, label = task
        _write(out / LABELS / f"{name}.png", label_picture(label, palette), "PNG", optimize=False)
        _write(out / OVERLAYS / f"{name}.jpg", Image.fromarray(overlay(picture, label, palette)), "JPEG")

    _write_classes(out, run.class_names, palette)
    with stream_of(out / TABLE) as stream, progress_bar(len(found), bar) as drawn:
        table, count = csv.writer(stream, lineterminator="\n"), 0
        table.writerow(("image", "labels", "overlay"))
        for batch in found.batches(size, skip):
            said = run.predict_maps(batch.images, size, resize=resize)
            tasks = [(names[n], i, s.labels) for n, i, s in zip(batch.names, batch.images, said, strict=True)]
            list(in_threads(write, tasks))
            table.writerows((n, f"{LABELS}/{names[n]}.png", f"{OVERLAYS}/{names[n]}.jpg") for n in batch.names)
            count += len(tasks)
            drawn.update(count + len(skipped) - drawn.n)
        if not count:
            raise UsageError(f"none of {len(found)} images can be read, the first of them is {skipped[0]}")
    return Counts(count, len(skipped))


def _names(found: Inputs) -> dict[str, str]:
    """The name of each image in `NamedBatch.names` -> that of its pictures."""
    rows = {f"{name}[{row}]": f"{name}_{row}" for name, array in found.arrays for row in range(len(array))}
    places = [str(file.absolute()) for file in found.files]
    places += [os.path.abspath(name) for name in rows.values()]
    common = pathlib.Path(os.path.commonpath([os.path.dirname(place) for place in places]))
    relative = [pathlib.PurePath(place).relative_to(common) for place in places]
    short = names_without_endings(list(dict.fromkeys(relative)))
    of = dict(zip(dict.fromkeys(relative), short, strict=True))
    keys = [*map(str, found.files), *rows]
    return {key: of[path] for key, path in zip(keys, relative, strict=True)}


def label_picture(label: np.ndarray, palette: np.ndarray) -> Image.Image:
    """A label map [H W] as numbers with a palette, or as gray of 16 bits where there are too many classes for one."""
    if len(palette) - 1 > MOST_COLORS:
        return Image.fromarray(label.astype(np.uint16))
    image = Image.fromarray(label.astype(np.uint8), "L")
    image.putpalette(palette[:-1].tobytes())
    return image


def _write(path: pathlib.Path, image: Image.Image, style: str, **options: bool) -> None:
    content = io.BytesIO()
    image.save(content, style, quality=QUALITY, **options)
    _write_bytes(path, content.getvalue())


def _write_bytes(path: pathlib.Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _write_classes(out: pathlib.Path, names: Sequence[str], palette: np.ndarray) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("number", "class", "red", "green", "blue"))
    table.writerows((number, name, *palette[number].tolist()) for number, name in enumerate(names))
    _write_bytes(out / CLASSES, text.getvalue().encode())
