"""Files of tensors read as NumPy arrays: PyTorch's checkpoints, in which nothing is executed, and safetensors."""

from __future__ import annotations

import collections
import io
import json
import pathlib
import pickle
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.numpy_files import DAMAGE

DTYPES = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}
SAFE_DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first object of a file of PyTorch before 1.6
MOST_DIMENSIONS = 16


class Unread:
    """What stands for an object of a pickle that is no tensor: nothing of it is imported, called or kept.

    Each class that a pickle names has one derived from this, with its module and name. ISDA's checkpoints hold their
    whole loss beside the network.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """A pickle fills lists by this."""

    def extend(self, values: Any) -> None:
        """As `append`."""


def unread_name(value: Any) -> str:
    """ "module.name" of what an `Unread`, or a class of it, stands for; "" for everything else."""
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}" if issubclass(kind, Unread) else ""


def read_tensors(path: str | pathlib.Path) -> Any:
    """What a file of tensors holds: nested dicts and lists with NumPy arrays.

    Args:
      path: of `.safetensors`, or of what `torch.save` has written (`.pth`, `.pt`, `.bin`; both of its formats). Of what
        a pickle names tensors, their storages and ordered dicts are read; `Unread` stands for anything else, and
        nothing is called.

    Raises:
      UsageError: there is no such file, or it is damaged.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    try:
        if path.suffix == ".safetensors":
            return read_safetensors(path)
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    # Bytes that are no pickle can raise anything of these.
    except (*DAMAGE, pickle.UnpicklingError, IndexError, AttributeError) as error:
        raise UsageError(f"{path}: it is no file of tensors, or damaged: {error}") from error


def read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """name -> array: 8 bytes with the length of a JSON header, the header, the numbers."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    numbers = memoryview(content)[8 + length :]
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            if entry["dtype"] not in SAFE_DTYPES:
                raise UsageError(f"tensor {name!r} has the dtype {entry['dtype']}, which is not known")
            begin, end = entry["data_offsets"]
            flat = np.frombuffer(numbers[begin:end], SAFE_DTYPES[entry["dtype"]])
            found[name] = flat.reshape(entry["shape"])
    return found


def write_safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of a file that `read_safetensors` and the safetensors library read."""
    names = {dtype: name for name, dtype in SAFE_DTYPES.items()}
    header, numbers = {}, io.BytesIO()
    for name, array in arrays.items():
        begin = numbers.tell()
        numbers.write(np.ascontiguousarray(array).tobytes())
        offsets = [begin, numbers.tell()]
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + numbers.getvalue()


class _TensorUnpickler(pickle.Unpickler):
    """Reads a pickle of tensors; `storage(dtype, key, numel)` gives the numbers that it refers to."""

    def __init__(self, stream: Any, storage: Callable[[np.dtype, str, int], np.ndarray]):
        super().__init__(stream, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        }
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        return type(name, (Unread,), {"__module__": module})

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # before PyTorch 1.6 a class of a network is written with its source
            return pid[1]
        kind, dtype, key, _, numel = pid[:5]
        if kind != "storage" or (len(pid) > 5 and pid[5] is not None):
            raise UsageError("it refers to something else than a whole storage")
        return self._storage(dtype, str(key), int(numel))


def _rebuild_tensor(
    storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> np.ndarray:
    """A view of a storage; one that would leave it is refused."""
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    valid = offset >= 0 and all(n >= 0 for n in size) and all(step >= 0 for step in stride)
    if not valid or len(size) > MOST_DIMENSIONS or (min(size, default=1) and last >= len(storage)):
        raise UsageError("a tensor leaves its storage")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps)


def _rebuild_parameter(tensor: np.ndarray, *_: Any) -> np.ndarray:
    return tensor


def _read_zip(path: pathlib.Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1:
            raise UsageError("it holds no data.pkl: is it a TorchScript or another kind of archive?")
        folder = pickles[0].removesuffix("data.pkl")
        order = f"{folder}byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise UsageError("its numbers are big-endian; save it again on another machine")
        seen: dict[str, np.ndarray] = {}

        def storage(dtype: np.dtype, key: str, numel: int) -> np.ndarray:
            if key not in seen:
                seen[key] = np.frombuffer(archive.read(f"{folder}data/{key}"), dtype, count=numel)
            return seen[key]

        return _TensorUnpickler(io.BytesIO(archive.read(pickles[0])), storage).load()


def _read_legacy(path: pathlib.Path) -> Any:
    """Magic number, version, system, the object, the keys of its storages; then each one's length and numbers."""
    most, seen = path.stat().st_size, dict[str, np.ndarray]()

    def storage(dtype: np.dtype, key: str, numel: int) -> np.ndarray:
        if key not in seen:
            if not 0 <= numel * dtype.itemsize <= most:
                raise UsageError("a storage is larger than the file")
            seen[key] = np.empty(numel, dtype)  # filled below, where its numbers stand
        return seen[key]

    with path.open("rb") as stream:
        if _TensorUnpickler(stream, storage).load() != LEGACY_MAGIC:
            raise UsageError("it is no file of PyTorch")
        for _ in range(2):
            _TensorUnpickler(stream, storage).load()
        found = _TensorUnpickler(stream, storage).load()
        for key in _TensorUnpickler(stream, storage).load():
            numel = int.from_bytes(stream.read(8), "little")
            numbers = seen[str(key)]
            if numel != numbers.size:
                raise UsageError(f"a storage has {numel} numbers instead of {numbers.size}")
            content = stream.read(numbers.nbytes)
            numbers[:] = np.frombuffer(content, numbers.dtype)
    return found
