"""Cityscapes' road scenes (Cordts et al., CVPR 2016), as published: `path` holds leftImg8bit and gtFine."""

from __future__ import annotations

import pathlib

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick, register
from jaxaug.data.dataset import Dataset
from jaxaug.data.sources.label_maps import dataset_of, files_of, rows_of
from jaxaug.data.splits import check_sources
from jaxaug.data.statistics import IMAGENET
from jaxaug.data.storage.image_reader import find_images
from jaxaug.data.storage.label_map_files import Classes, Pair, layout_of
from jaxaug.data.storage.paths import find_places

IMAGE, LABEL_IDS, TRAIN_IDS = "_leftImg8bit", "_gtFine_labelIds", "_gtFine_labelTrainIds"
# Number in a file of label ids -> class, the 19 that are evaluated, by the benchmark's table; the other 15 are void.
CLASS_OF_ID = {
    **{7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9},
    **{23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18},
}
VOID = 255
CLASS_NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
BY_LABEL = {
    LABEL_IDS: Classes({i: CLASS_OF_ID.get(i, -1) for i in range(34)} | {VOID: -1}),
    TRAIN_IDS: Classes({i: i for i in range(19)} | {VOID: -1}),
}
# "isda": what its code subtracts, Caffe's mean of ImageNet; it divides by nothing. "cityscapes": the numbers that
# segmentation code passes on as those of the 2,975 training images.
KNOWN = {
    "imagenet": IMAGENET,
    "isda": (tuple(x / 255 for x in (122.67891434, 116.66876762, 104.00698793)), (1 / 255,) * 3),
    "cityscapes": ((0.28689554, 0.32513303, 0.28389177), (0.18696375, 0.19017339, 0.18720214)),
}


@register("data")
def cityscapes(
    *,
    path: str = "",
    size: tuple[int, ...] = (),
    fit: str = "resize",
    test: str = "val",
    statistics: str = "imagenet",
    cache: bool = False,
    lazy: bool = True,
    threads: int = 0,
    validation_size: float = 0.0,
    seed: int = 0,
    directory: str = "",
) -> Dataset:
    """Road scenes of leftImg8bit/{train,val,test}/CITY with gtFine/.../*_gtFine_labelIds.png, 19 classes.

    The 34 label ids become the 19 classes that are evaluated, the others void. Label maps of train ids,
    *_gtFine_labelTrainIds.png, are taken where there are no others. The images of val are the test rows, as papers
    report them; validation rows are cut off train. Every file is read and checked before anything is trained.

    Args:
      path: the folder; by default `cityscapes` in the folder of data sets.
      size: rows and columns that all are brought to; () for those of the first image, 1,024 and 2,048 as published.
      fit: how, as in label_maps.
      test: the split that is reported on: "val"; or "test", for label maps of one's own (the published ones are void),
        val being the validation rows.
      statistics: mean and std of the channels: "imagenet"; "isda", its code's mean and no division; or "cityscapes".
      cache: whether to keep the decoded arrays in `directory`, 29 GB of them as published.
      lazy: whether images and label maps stay in their files, to be decoded batch by batch, in threads; that all were
        checked is kept in `directory`.
      threads: that decode lazy ones; 0 for four more than there are cores.
      validation_size: training rows to cut off for validation: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.

    Raises:
      UsageError: a folder or a label map is missing, a file cannot be read, its size is not that of its image, or it
        has a number that is none of the ids; the message names it.
    """
    root = (pathlib.Path(path).expanduser() if path else find_places(directory).archives / "cityscapes").absolute()
    pick("test", test, {"val": 0, "test": 0})
    normalisation = dict(zip(("mean", "std"), pick("statistics", statistics, KNOWN), strict=True))
    if not (root / "leftImg8bit" / "train").is_dir():
        raise UsageError(
            f"cityscapes: there is no folder leftImg8bit/train in {root}: set path to the folder into which "
            "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip were unpacked"
        )
    check_sources(f"cityscapes: {root}", validation_size, validation=test == "test", test=True)
    folders = {"train": "train", **({"test": "val"} if test == "val" else {"validation": "val", "test": "test"})}
    found = {split: _pairs(root, folder) for split, folder in folders.items()}
    endings = {ending for _, ending in found.values()}
    if len(endings) > 1:
        raise UsageError(f"cityscapes: some splits of {root} have label ids, others train ids: leave one kind out")
    pairs = {split: rows for split, (rows, _) in found.items()}
    layout = layout_of("cityscapes", pairs["train"][0], size, fit, BY_LABEL[endings.pop()])
    return dataset_of(
        "cityscapes",
        rows_of("cityscapes", pairs, root, layout, cache=cache, lazy=lazy, threads=threads, directory=directory),
        class_names=CLASS_NAMES,
        validation_size=validation_size,
        seed=seed,
        files=files_of(pairs, root),
        **normalisation,
        statistics_source=statistics,
    )


def _pairs(root: pathlib.Path, split: str) -> tuple[list[Pair], str]:
    """(the files of a split by city and name, how the names of its label maps end)."""
    folder, labels = root / "leftImg8bit" / split, root / "gtFine" / split
    for needed in (folder, labels):
        if not needed.is_dir():
            raise UsageError(f"cityscapes: there is no folder {needed}")
    images = [path for path in find_images(folder, recursive=True).images if path.stem.endswith(IMAGE)]
    if not images:
        raise UsageError(f"cityscapes: there are no images *{IMAGE}.png in the cities of {folder}")
    there = {path.relative_to(labels) for path in find_images(labels, recursive=True).images}
    stems = [path.relative_to(folder).parent / path.stem.removesuffix(IMAGE) for path in images]
    wanted = {ending: [stem.parent / f"{stem.name}{ending}.png" for stem in stems] for ending in BY_LABEL}
    ending = next((ending for ending, names in wanted.items() if there & set(names)), LABEL_IDS)
    missing = [labels / name for name in wanted[ending] if name not in there]
    if missing:
        raise UsageError(
            f"cityscapes: {len(missing)} of {len(images)} images of {split} have no label map, such as {missing[0]}"
        )
    return [Pair(image, labels / name) for image, name in zip(images, wanted[ending], strict=True)], ending
