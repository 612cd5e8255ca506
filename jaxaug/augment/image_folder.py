"""A policy applied to a folder of images."""

from __future__ import annotations

import collections
import concurrent.futures
import csv
import io
import pathlib
import struct
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from jaxaug.augment.functional import apply_policy
from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.policies import presets
from jaxaug.policies.policy import Policy

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
TABLE = "visible.csv"
ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 stand for a quarter turn
# What Pillow's decoders raise for broken files; UnidentifiedImageError is an OSError.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


class Form(NamedTuple):
    """What the images of one batch share: rows, columns, and the mode "L" (gray) or "RGB"."""

    height: int
    width: int
    mode: str


def load_policy(name: str, num_layers: int = 2, magnitude: int = 9) -> Policy:
    """The policy in the file `name` if it ends in .json or is there, else the preset of that name.

    Args:
      name: of a file or of a preset.
      num_layers: of the presets that have a number of layers.
      magnitude: of the presets that have one.

    Raises:
      UsageError: there is neither, with the nearest names.
    """
    if name.endswith(".json") or pathlib.Path(name).is_file():
        return Policy.load(name)
    return presets.get(name, num_layers, magnitude)


def augment_folder(
    policy: Policy,
    images: str | pathlib.Path,
    out: str | pathlib.Path,
    *,
    copies: int = 1,
    seed: int = 0,
    exact: bool = True,
    batch_size: int = 64,
    overwrite: bool = False,
) -> dict[str, float]:
    """Write `<name>_<copy>.png` for each image and copy, sub-folders kept, and `visible.csv`.

    Images of one size share a batch; each size is compiled once. The same seed, folder and batch_size give the same
    files.

    Args:
      policy: what may happen to an image.
      images: a folder with images of any size, as Pillow reads them: turned as their EXIF data say, gray ones kept gray
        (16 bits rounded to 8), all others as RGB, without transparency.
      out: the folder to write into.
      copies: augmented versions of each image.
      seed: of everything random.
      exact: PIL's results, else the differentiable ones, rounded.
      batch_size: images of one size at a time.
      overwrite: write into a folder that has something in it; nothing is ever deleted from it.

    Returns:
      {file: share of the image that is still seen, in 0..1}.

    Raises:
      UsageError: a missing or empty folder, an image that cannot be read or has gray levels of unknown range (Pillow's
        modes I and F), a filled `out` without overwrite, folders one of which contains the other, copies or batch_size
        below 1.
    """
    images, out = pathlib.Path(images), pathlib.Path(out)
    if copies < 1 or batch_size < 1:
        raise UsageError(f"copies and batch_size must be at least 1, got {copies} and {batch_size}")
    _check_folders(images, out, overwrite)
    groups = collections.defaultdict(list)
    for path in _found(images):
        groups[_form(path)].append(path)
    names = _names(images, [path for group in groups.values() for path in group])
    visible: dict[str, float] = {}
    key = jax.random.key(seed)
    total = copies * sum(map(len, groups.values()))
    with tqdm(total=total, unit="image") as bar, concurrent.futures.ThreadPoolExecutor() as pool:
        for i, (form, paths) in enumerate(sorted(groups.items())):
            rows = [(path, copy) for path in paths for copy in range(copies)]
            of_group = jax.random.fold_in(key, i)
            for j, part in enumerate(_batches(rows, batch_size)):
                pixels = jnp.stack(list(pool.map(lambda row, form=form: _read(row[0], form), part)))
                after, share = apply_policy(jax.random.fold_in(of_group, j), pixels, policy, exact=exact)
                whole = np.clip(np.round(after), 0, 255).astype(np.uint8)
                # The last batch is filled up with its first rows, so that each size is compiled once.
                kept = min(len(rows) - j * len(part), len(part))
                files = [f"{names[path]}_{copy}.png" for path, copy in part[:kept]]
                list(pool.map(lambda name, image: _write(out / name, image), files, whole))
                visible.update(zip(files, map(float, np.asarray(share)), strict=False))
                bar.update(kept)
    _write_table(out / TABLE, visible)
    return visible


def _check_folders(images: pathlib.Path, out: pathlib.Path, overwrite: bool) -> None:
    if not images.is_dir():
        raise UsageError(f"there is no folder {images}: images must be a folder with images in it")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: out must be a folder")
    whole = images.resolve(), out.resolve()
    if whole[0].is_relative_to(whole[1]) or whole[1].is_relative_to(whole[0]):
        raise UsageError(f"{out} and {images} contain one another: choose another folder for out")
    if out.exists() and any(out.iterdir()) and not overwrite:
        raise UsageError(f"{out} is not empty: choose another folder, or overwrite to write into it")


def _found(folder: pathlib.Path) -> list[pathlib.Path]:
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
    if not found:
        raise UsageError(f"no image in {folder} or its sub-folders: names must end in {', '.join(ENDINGS)}")
    return found


def _names(folder: pathlib.Path, paths: list[pathlib.Path]) -> dict[pathlib.Path, str]:
    """Each file's name below the folder, without its ending unless another file has the same."""
    bare = {path: path.relative_to(folder).with_suffix("").as_posix() for path in paths}
    often = collections.Counter(bare.values())
    return {path: name if often[name] == 1 else path.relative_to(folder).as_posix() for path, name in bare.items()}


def _form(path: pathlib.Path) -> Form:
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION, 1) >= 5
            mode = "L" if image.mode in ("1", "L", "LA") or _has_16_bits(image) else "RGB"
            known = image.mode not in ("I", "F") or _has_16_bits(image)
    except BROKEN as error:
        raise _unreadable(path, error) from None
    if not known:
        raise UsageError(f"the gray levels of {path} have no known range: save it with 8 or 16 bits, or remove it")
    return Form(width, height, mode) if turned else Form(height, width, mode)


def _read(path: pathlib.Path, form: Form) -> np.ndarray:
    try:
        with Image.open(path) as image:
            turned = ImageOps.exif_transpose(image)
            if _has_16_bits(image):
                found = ((np.asarray(turned).astype(np.int32) + 128) // 257).astype(np.uint8)
            else:
                found = np.asarray(turned.convert(form.mode))
    except BROKEN as error:
        raise _unreadable(path, error) from None
    return found.reshape(form.height, form.width, -1)


def _has_16_bits(image: Image.Image) -> bool:
    """Is it gray with levels 0..65535? Pillow's `convert` would cut them off at 255."""
    # "I;16" or a byte order of it; "I" for PNG files in older Pillows, and for PGM files, scaled to the whole range.
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _unreadable(path: pathlib.Path, error: Exception) -> UsageError:
    return UsageError(f"cannot read the image {path}, mend or remove it: {error}")


def _batches(rows: list, size: int) -> Iterator[list]:
    """Batches of one size; the last one is filled up with its own rows."""
    size = min(size, len(rows))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield [part[i % len(part)] for i in range(size)]


def _write(path: pathlib.Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(path)


def _write_table(path: pathlib.Path, visible: dict[str, float]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "visible"))
    table.writerows((name, f"{share:.6f}") for name, share in sorted(visible.items()))
    write_text(path, text.getvalue())
