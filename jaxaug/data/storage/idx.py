"""IDX, the format of MNIST and Fashion-MNIST: big-endian sizes, then bytes."""

import pathlib

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.data.storage import archive

# In the order of the archives that `decode` expects.
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def parse(content: bytes, rank: int, path: pathlib.Path) -> np.ndarray:
    """An array from the bytes of an IDX file: uint8 of `rank` dimensions, read-only.

    Raises:
      UsageError: the magic number or the length is wrong; `path` is named in the message.
    """
    # Two zero bytes, 8 for unsigned bytes, the rank, then one 32-bit size per dimension.
    start = 4 + 4 * rank
    if content[:4] != bytes([0, 0, 8, rank]) or len(content) < start:
        raise UsageError(f"{path} is not an IDX file of {rank}-dimensional bytes: it starts {content[:4].hex()}")
    shape = tuple(int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(rank))
    size = int(np.prod(shape, dtype=object))
    if len(content) - start != size:
        raise UsageError(f"{path} says it holds {shape} bytes but has {len(content) - start} of {size}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def decode(paths: tuple[pathlib.Path, ...]) -> dict[str, np.ndarray]:
    """The arrays of the four files of `FILES`, plain or .gz.

    Returns:
      train_image, test_image uint8 [N 28 28 1]; train_label, test_label int32 [N].

    Raises:
      UsageError: a file is not such an IDX file, or images and labels differ in number.
    """
    arrays = {}
    for split, (image_path, label_path) in {"train": paths[:2], "test": paths[2:]}.items():
        image = parse(archive.read(image_path), 3, image_path)
        label = parse(archive.read(label_path), 1, label_path)
        if image.shape[1:] != (28, 28) or len(image) != len(label):
            raise UsageError(f"{image_path} holds {image.shape}, {label_path} {label.shape}: not [N 28 28], [N]")
        arrays[f"{split}_image"], arrays[f"{split}_label"] = image[..., None], label.astype(np.int32)
    return arrays
