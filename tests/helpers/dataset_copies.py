"""Small copies of the published data sets, written in the formats they are published in."""

import dataclasses
import gzip
import hashlib
import io
import pathlib
import pickle
import struct
import tarfile
import typing

import numpy as np

from jaxaug.data.storage import archive


def rows(count, shape, num_classes, seed=0):
    """(image uint8 [count *shape], label int32 [count]); every class occurs if there are rows enough."""
    random = np.random.default_rng(seed)
    label = random.permutation(np.arange(count) % num_classes).astype(np.int32)
    return random.integers(0, 256, (count, *shape), dtype=np.uint8), label


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def register(archive: archive.Archive, path: pathlib.Path) -> archive.Archive:
    """The archive with the checksums of the small copy at `path`."""
    content = path.read_bytes()
    unpacked = sha256(gzip.decompress(content)) if archive.content_sha256 else ""
    return dataclasses.replace(archive, sha256=sha256(content), content_sha256=unpacked)


class _Python2Pickler(pickle._Pickler):
    """Writes byte strings as Python 2 did, so that the copy has the opcodes of the real archives."""

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    def save_str(self, value):
        self.save_bytes(value.encode("ascii"))

    dispatch: typing.ClassVar = pickle._Pickler.dispatch | {bytes: save_bytes, str: save_str}


def python2_pickle(value) -> bytes:
    """`value` pickled by protocol 2 with byte strings and numpy's old module name."""
    file = io.BytesIO()
    _Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def write_tarball(path: pathlib.Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_cifar(path: pathlib.Path, members, label_key: bytes, train, test) -> None:
    """A CIFAR tarball: rows of 3072 bytes, plane by plane, dealt over the batch files."""
    content = {}
    for split, (image, label) in {"train": train, "test": test}.items():
        flat = image.transpose(0, 3, 1, 2).reshape(len(image), -1)
        for name, part in zip(members[split], np.array_split(np.arange(len(image)), len(members[split])), strict=True):
            batch = {
                b"data": flat[part],
                label_key: label[part].tolist(),
                b"filenames": [b"a.png"] * len(part),
            }
            content[name] = python2_pickle(batch)
    write_tarball(path, content)


def write_svhn(path: pathlib.Path, image, label) -> None:
    """An SVHN .mat: images last, and the digit 0 labelled 10."""
    import scipy.io

    scipy.io.savemat(path, {"X": image.transpose(1, 2, 3, 0), "y": np.where(label == 0, 10, label)[:, None]})


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx(folder: pathlib.Path, train, test, packed=True) -> None:
    """The four IDX files, as .gz or plain."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "train-images-idx3-ubyte": train[0][..., 0],
        "train-labels-idx1-ubyte": train[1],
        "t10k-images-idx3-ubyte": test[0][..., 0],
        "t10k-labels-idx1-ubyte": test[1],
    }
    for name, array in arrays.items():
        content = idx_bytes(array)
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content, mtime=0) if packed else content)


def write_tfds(data_dir: pathlib.Path, tfds_name: str, splits: dict, with_id: bool) -> pathlib.Path:
    """Prepares an array_record set with tensorflow-datasets, without TensorFlow; returns its version folder.

    The keys are row numbers, and ids look like CIFAR's, as in the stock builders.
    """
    import tensorflow_datasets as tfds
    from PIL import Image

    features = {
        "image": tfds.features.Image(shape=splits["train"][0].shape[1:]),
        "label": tfds.features.ClassLabel(num_classes=10),
    } | ({"id": tfds.features.Text()} if with_id else {})

    def png(image):
        file = io.BytesIO()
        Image.fromarray(image.squeeze()).save(file, format="PNG")
        file.seek(0)
        return file

    # The stock sets' names are taken in the registry, though not on disk.
    with tfds.core.registered.skip_registration():

        class Small(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("3.0.2")
            name = tfds_name

            def _info(self):
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

            def _split_generators(self, dl_manager):
                return {split: self._generate_examples(split, *arrays) for split, arrays in splits.items()}

            def _generate_examples(self, split, image, label):
                for row in range(len(image)):
                    example = {"image": png(image[row]), "label": int(label[row])}
                    yield row, example | ({"id": f"{split}_{row:05d}"} if with_id else {})

    (builder := Small(data_dir=data_dir, file_format="array_record")).download_and_prepare()
    return pathlib.Path(builder.data_dir)
