"""Your own images: `path` names a folder with train/<class>/<image>, and test/ or validation/ likewise.

Photographs that are to stay files are the set `imagenet`, whose layout is the same.
"""

import pathlib

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset
from jaxaug.data.sources._decoded_files import assemble_files, check_image_options
from jaxaug.data.splits import SPLIT_WORDS, check_sources
from jaxaug.data.storage.image_reader import ENDINGS, entries, find_images, tell_passed_over

UNLABELLED = "unlabelled"


@register("data")
def folder(
    *,
    path: str = "",
    size: int = 0,
    channels: int = 0,
    flat: bool = False,
    recursive: bool = False,
    cache: bool = False,
    statistics: str = "computed",
    validation_size: float = 0.0,
    seed: int = 0,
    directory: str = "",
) -> Dataset:
    """Loads the images of {train,validation,test}/<class>/*, as uint8 [N H W C].

    The classes are the folders of train, sorted by name; validation and test have all or some of them. Rows are in the
    order of class and file name, and `Dataset.files` says which file a row is. Images are files that end in .png, .jpg,
    .jpeg, .webp, .bmp, .gif, .pgm, .ppm, .tif or .tiff; names that start with a dot are passed over. validation (or
    val) and test are as in npz: validation rows are trusted, and either split may be left out where there is the other,
    or where validation_size cuts rows off; without test images the test split is the validation split.

    A folder unlabelled/ beside train, or beside the classes if flat, holds images without a label, for tasks that learn
    from them: training rows with the label -1, behind the others.

    Photographs are turned upright as their EXIF entry says; transparency is dropped; gray of 16 bits is rounded to 8.

    Args:
      path: the folder.
      size: side of the images, each cut to the square in its middle and resized (bicubic, antialiased); 0 where all are
        as large as the first.
      channels: 1 gray or 3 color; 0 for what the first image has.
      flat: whether the classes' folders lie in `path` itself; all are training rows, to be cut by validation_size.
      recursive: whether to read the images in the sub-folders of a class, too.
      cache: whether to keep the decoded images in `directory`, where the next run finds them and from where they are
        mapped into memory (validation_size and train_size read the rows that are left into it).
      statistics: mean and std of the channels: "computed" from the training rows, or "imagenet" for its usual ones.
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.

    Raises:
      UsageError: a folder or a class is missing or empty, an option is out of range, or an image cannot be read or is
        not like the first; the message names it.
    """
    root = _root(path, size, channels, flat)
    present = {"train": root} if flat else _splits(root)
    check_sources(f"folder: {root}", validation_size, validation="validation" in present, test="test" in present)
    names = _class_names(present, UNLABELLED if flat else "")
    found = {split: _images(split, folder, names, recursive) for split, folder in present.items()}
    found["train"] += _unlabelled(root / UNLABELLED, recursive)
    return assemble_files(
        "folder",
        root,
        found,
        names,
        size=size,
        channels=channels,
        cache=cache,
        statistics=statistics,
        validation_size=validation_size,
        seed=seed,
        directory=directory,
    )


def _splits(root: pathlib.Path) -> dict[str, pathlib.Path]:
    found = [(split, root / word) for split, words in SPLIT_WORDS.items() for word in reversed(words)]
    return {split: folder for split, folder in found if folder.is_dir()}


def _root(path: str, size: int, channels: int, flat: bool) -> pathlib.Path:
    if not path:
        raise UsageError("folder: set path to a folder with train/<class>/<image>, test/<class>/<image>")
    check_image_options("folder", size, channels)
    root = pathlib.Path(path).expanduser().absolute()
    if flat and not root.is_dir():
        raise UsageError(f"folder: there is no folder {root}")
    if not (flat or (root / "train").is_dir()):
        raise UsageError(
            f"folder: there is no folder {root / 'train'}; it must hold a folder of images for each class. Where they "
            f"lie in {root} itself, set flat and validation_size"
        )
    return root


def _class_names(present: dict[str, pathlib.Path], no_class: str) -> tuple[str, ...]:
    names = tuple(entry.name for entry in entries(present["train"]) if entry.is_dir() and entry.name != no_class)
    if not names:
        raise UsageError(f"folder: {present['train']} has no folders; it must hold a folder of images for each class")
    for folder in present.values():
        unknown = [entry.name for entry in entries(folder) if entry.is_dir() and entry.name not in (*names, no_class)]
        if unknown:
            raise UsageError(
                f"folder: {folder} has the classes {', '.join(unknown)}, which train has not: rename or remove them"
            )
    return names


def _images(
    split: str, folder: pathlib.Path, names: tuple[str, ...], recursive: bool
) -> list[tuple[pathlib.Path, int]]:
    """(file, label) of every image of a split."""
    found, others = [], []
    for label, name in enumerate(names):
        if not (folder / name).is_dir():
            continue
        of_class = find_images(folder / name, recursive)
        others += of_class.others
        if split == "train" and not of_class.images:
            tell_passed_over(of_class.others)
            raise UsageError(f"folder: {folder / name} has no images ({', '.join(ENDINGS)}); add some or remove it")
        found += [(path, label) for path in of_class.images]
    if not found:
        tell_passed_over(others)
        flat = find_images(folder, recursive=False).images
        raise UsageError(
            f"folder: {folder} has no images ({', '.join(ENDINGS)}) in its classes; "
            + ("move its images into a folder for each class" if flat else "add some or remove it")
        )
    tell_passed_over(others)
    return found


def _unlabelled(folder: pathlib.Path, recursive: bool) -> list[tuple[pathlib.Path, int]]:
    """(file, -1) of every image without a label; none where there is no such folder."""
    if not folder.is_dir():
        return []
    folders = [entry.name for entry in entries(folder) if entry.is_dir()]
    if folders and not recursive:
        raise UsageError(
            f"folder: {folder} is for images without a label, but has the folders {', '.join(folders)}: move images of "
            "a known class to train, others out of their folders, or set recursive"
        )
    found = find_images(folder, recursive)
    tell_passed_over(found.others)
    if not found.images:
        raise UsageError(f"folder: {folder} has no images ({', '.join(ENDINGS)}); add some or remove it")
    return [(path, -1) for path in found.images]
