"""A policy applied to a folder of images: everything is checked first, and what was interrupted goes on."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import itertools
import logging
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from PIL import Image
from tqdm import tqdm

from jaxaug.augment.folder_journal import Finished, Journal
from jaxaug.augment.functional import apply_policy
from jaxaug.core.atomic_io import write_bytes, write_text
from jaxaug.core.digest import digest_of_array, facts_of
from jaxaug.core.errors import UsageError
from jaxaug.core.file_names import names_without_endings
from jaxaug.core.random import numpy_generator
from jaxaug.data.storage.image_reader import ENDINGS, find_images, in_threads, read_image, tell_passed_over
from jaxaug.ops.registry import check_op
from jaxaug.policies import presets
from jaxaug.policies.numpy_sampling import apply_policy_numpy
from jaxaug.policies.policy import Policy, check_policy

TABLE = "visible.csv"
# Four times as fast as Pillow's own level, which took nine tenths of the command's time; photographs stay as small.
COMPRESSION = 1
THREADS = min(32, os.cpu_count() or 1)  # each holds an image and where its pixels come from: 40 bytes a pixel
SIZES = 16  # compiled sizes that stay in memory where exact is off: 10 MB each

Shape = tuple[int, int, int]  # H W C
Draw = Callable[[str, int, np.ndarray], tuple[np.ndarray, float]]  # (name, copy, pixels) -> (pixels, visible)


class Source(NamedTuple):
    """An image file.

    Attributes:
      path: where it is.
      name: its name below the folder.
      target: the name of its copies, without `_<copy>.png`.
    """

    path: pathlib.Path
    name: str
    target: str


def load_policy(name: str, num_layers: int | None = None, magnitude: int | None = None) -> Policy:
    """The policy in the file `name` if it ends in .json or is there, else the preset of that name.

    Args:
      name: of a file or of a preset.
      num_layers: of the presets that have a number of layers; None is 2.
      magnitude: of the presets that have one; None is 9.

    Raises:
      UsageError: there is neither, with the nearest names; or a number that the policy has no use for.
    """
    is_file = name.endswith(".json") or pathlib.Path(name).is_file()
    asked = {"num_layers": num_layers, "magnitude": magnitude}
    given = {option: value for option, value in asked.items() if value is not None}
    taken = () if is_file else presets.arguments_of(name)
    for option in given:
        if option not in taken:
            having = [one for one in presets.list_presets() if option in presets.arguments_of(one)]
            raise UsageError(f"{name} has no {option}: leave it out; {', '.join(having)} have one")
    return Policy.load(name) if is_file else presets.get(name, **given)


def augment_folder(
    policy: Policy,
    images: str | pathlib.Path,
    out: str | pathlib.Path,
    *,
    copies: int = 1,
    seed: int = 0,
    exact: bool = True,
    skip_broken: bool = False,
    overwrite: bool = False,
) -> dict[str, float]:
    """Write `<name>_<copy>.png` for each image and copy, sub-folders kept, and `visible.csv`.

    All images are decoded once before anything is written, and each by itself after that, in memory that does not grow
    with their number. What becomes of one depends on the policy, the seed, its name below the folder and the number of
    the copy; not on other images, their sizes, or the number of cores. Files are written whole or not at all. If the
    command is interrupted, `unfinished.jsonl` in `out` says what is done; the same command goes on from there, does
    anew what has changed since, and leaves the files that it would have written uninterrupted.

    A name is the file's without its ending, with it where two files would share one.

    Args:
      policy: what may happen to an image.
      images: a folder with images of any size, read as `data.storage.image_reader.open_image` says; names that start
        with a dot are passed over.
      out: the folder to write into.
      copies: augmented versions of each image.
      seed: of everything random, 0..2**32 - 1.
      exact: PIL's results, by NumPy; else the differentiable ones, rounded, for which JAX compiles each size of image,
        some seconds each.
      skip_broken: leave out images that cannot be read, and log which.
      overwrite: write into a folder that has something in it; nothing is ever deleted from it.

    Returns:
      {file: share of the image that is still seen, in 0..1}.

    Raises:
      UsageError: a missing or empty folder, an image that cannot be read or is too large for the policy, a filled `out`
        without overwrite or one that another process fills, folders one of which contains the other, copies below 1, a
        policy per training row; and a disk that is full.
    """
    images, out = pathlib.Path(images), pathlib.Path(out)
    policy = _checked(policy, copies, seed)
    _check_folders(images, out)
    sources = _sources(images)
    journal = Journal(out, {"policy": _digest(policy), "seed": seed, "copies": copies, "exact": exact}, overwrite)
    facts = {source.name: facts_of(source.path) if source.path.exists() else "" for source in sources}
    finished = _still_finished(journal.found, sources, facts, out, copies)
    shapes = _shapes([source for source in sources if source.name not in finished], policy, skip_broken)
    chosen = [source for source in sources if source.name in finished or source.name in shapes]
    draw = _draw_exactly(policy, seed) if exact else _draw_smoothly(policy, seed)
    augment = functools.partial(_write_copies, out, copies, draw)
    with _told(out), contextlib.closing(journal), tqdm(total=len(chosen), unit="image", initial=len(finished)) as bar:
        journal.begin(finished)
        for part in _parts([source for source in chosen if source.name not in finished], shapes, exact):
            for source, visible in zip(part, in_threads(augment, part, THREADS if exact else 1), strict=True):
                finished[source.name] = Finished(source.name, source.target, facts[source.name], visible)
                journal.add(finished[source.name])
                bar.update()
        shares = _shares([finished[source.name] for source in chosen])
        _write_table(out / TABLE, shares)
        journal.remove()
    return shares


def _checked(policy: Policy, copies: int, seed: int) -> Policy:
    """The policy with arrays of NumPy."""
    if copies < 1:
        raise UsageError(f"copies must be at least 1, got {copies}")
    numpy_generator(seed)
    check_policy("augment_folder", policy)
    if policy.mix.ndim != 1:
        raise UsageError("augment_folder: the policy is one per training row: take one of its rows, or search another")
    return jax.tree.map(np.asarray, policy)


def _digest(policy: Policy) -> str:
    """Of everything that a policy is."""
    facts = (policy.names, policy.ranges, policy.signed, policy.noise, policy.cover)
    arrays = [digest_of_array(np.asarray(array)) for array in (policy.mix, policy.logits, policy.level, policy.op)]
    return hashlib.sha256(repr((facts, arrays)).encode()).hexdigest()


def _check_folders(images: pathlib.Path, out: pathlib.Path) -> None:
    if not images.is_dir():
        raise UsageError(f"there is no folder {images}: images must be a folder with images in it")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: out must be a folder")
    whole = images.resolve(), out.resolve()
    if whole[0].is_relative_to(whole[1]) or whole[1].is_relative_to(whole[0]):
        raise UsageError(f"{out} and {images} contain one another: choose another folder for out")
    there = next(folder for folder in (whole[1], *whole[1].parents) if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write into {there}: choose another folder for out")


def _sources(folder: pathlib.Path) -> list[Source]:
    """Every image of the folder under a target of its own."""
    found = find_images(folder, recursive=True)
    tell_passed_over(found.others)
    if not found.images:
        raise UsageError(f"no image in {folder} or its sub-folders: names must end in {', '.join(ENDINGS)}")
    whole = [path.relative_to(folder) for path in found.images]
    targets = names_without_endings(whole)
    return [
        Source(path, name.as_posix(), target) for path, name, target in zip(found.images, whole, targets, strict=True)
    ]


def _still_finished(
    found: Mapping[str, Finished],
    sources: Sequence[Source],
    facts: Mapping[str, str],
    out: pathlib.Path,
    copies: int,
) -> dict[str, Finished]:
    """What need not be done anew, though the images may have changed since."""
    targets = {source.name: source.target for source in sources}
    for entry in found.values():
        if targets.get(entry.name) != entry.target:
            raise UsageError(
                f"{out} holds {entry.target}_0.png, but {entry.name} is gone or shares its name with another image "
                "now: choose another folder"
            )
    return {
        name: entry
        for name, entry in found.items()
        if entry.facts == facts[name]
        and len(entry.visible) == copies
        and all((out / file).is_file() for file in _shares([entry]))
    }


def _shapes(sources: Sequence[Source], policy: Policy, skip_broken: bool) -> dict[str, Shape]:
    """The shape of each image that can be read, by name: every one is decoded."""
    shapes: dict[str, Shape] = {}
    broken = []
    with tqdm(total=len(sources), desc="checking", unit="image") as bar:
        for source, shape in zip(sources, in_threads(_shape, sources), strict=True):
            bar.update()
            if isinstance(shape, UsageError):
                if not skip_broken:
                    raise shape
                broken.append(str(shape))
                continue
            shapes[source.name] = shape
            _check_shape(source, shape, policy)
    if broken:
        told = "\n".join(broken)
        logging.getLogger(__name__).warning("skipped %d of %d images:\n%s", len(broken), len(sources), told)
    if broken and not shapes:
        raise UsageError(f"none of the images can be read: {broken[0]}")
    return shapes


def _shape(source: Source) -> Shape | UsageError:
    try:
        height, width, channels = read_image(source.path).shape
    except UsageError as error:
        return error
    return height, width, channels


def _check_shape(source: Source, shape: Shape, policy: Policy) -> None:
    try:
        for name in policy.names:
            check_op(name, shape)
    except UsageError as error:
        raise UsageError(f"{source.path}: {error}") from None


def _parts(sources: Sequence[Source], shapes: Mapping[str, Shape], exact: bool) -> Iterator[list[Source]]:
    """All at once if exact; else a few sizes at a time, whose compiled functions are forgotten before the next."""
    if exact:
        yield list(sources)
        return
    number = {shape: i // SIZES for i, shape in enumerate(sorted({shapes[source.name] for source in sources}))}
    in_order = sorted(sources, key=lambda source: shapes[source.name])
    for i, part in itertools.groupby(in_order, key=lambda source: number[shapes[source.name]]):
        if i:
            jax.clear_caches()
        yield list(part)


def _write_copies(out: pathlib.Path, copies: int, draw: Draw, source: Source) -> list[float]:
    """The visible share of each."""
    pixels, visible = read_image(source.path), []
    for copy in range(copies):
        after, share = draw(source.name, copy, pixels)
        _write(out / f"{source.target}_{copy}.png", after)
        visible.append(share)
    return visible


def _shares(finished: Sequence[Finished]) -> dict[str, float]:
    return {f"{one.target}_{copy}.png": share for one in finished for copy, share in enumerate(one.visible)}


def _generator(seed: int, name: str, copy: int) -> np.random.Generator:
    """One for each copy of each image."""
    words = np.frombuffer(hashlib.sha256(os.fsencode(name)).digest(), "<u4")
    return numpy_generator(seed, *map(int, words), copy)


def _draw_exactly(policy: Policy, seed: int) -> Draw:
    return lambda name, copy, pixels: apply_policy_numpy(policy, _generator(seed, name, copy), pixels)


def _draw_smoothly(policy: Policy, seed: int) -> Draw:
    def draw(name: str, copy: int, pixels: np.ndarray) -> tuple[np.ndarray, float]:
        key = jax.random.key(int(_generator(seed, name, copy).integers(2**31)))
        after, visible = apply_policy(key, pixels[None], policy, exact=False)
        return np.clip(np.round(after[0]), 0, 255).astype(np.uint8), float(visible[0])

    return draw


@contextlib.contextmanager
def _told(out: pathlib.Path) -> Iterator[None]:
    """Errors of writing as one message."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write into {out}: {error}; mend that, and the same command goes on") from error


def _write(path: pathlib.Path, image: np.ndarray) -> None:
    content = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(
        content, "PNG", compress_level=COMPRESSION
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getvalue())


def _write_table(path: pathlib.Path, visible: Mapping[str, float]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "visible"))
    table.writerows((name, f"{share:.6f}") for name, share in sorted(visible.items()))
    # Names that are no UTF-8 stay readable.
    write_text(path, text.getvalue().encode(errors="backslashreplace").decode())
