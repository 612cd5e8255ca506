"""PyTorch's files are read without it, and nothing in them is executed."""

import collections
import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.models import weights
from jaxaug.models.weights import files

NUMBERS = np.arange(12, dtype=np.float32)


class _Named:
    """Pickled as a reference to a global of another module, or as a call of one."""

    def __init__(self, module, name, arguments=None):
        self.module, self.name, self.arguments = module, name, arguments


class _Object:
    """Pickled as an object of a class of another module; in_old: as old versions of PyTorch write a network's."""

    def __init__(self, module, name, state, in_old=False):
        self.kind, self.state = _Kind(module, name) if in_old else _Named(module, name), state


class _Kind:
    def __init__(self, module, name):
        self.id = ("module", _Named(module, name), "isda.py", "class ...")


class _Storage:
    def __init__(self, kind, key, numel):
        self.id = ("storage", _Named("torch", kind), key, "cpu", numel)


class _Pickler(pickle._Pickler):
    """Writes what PyTorch writes, protocol 2, without importing what it names."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def persistent_id(self, thing):
        if isinstance(thing, _Kind):
            return thing.id
        return (*thing.id, *self.more) if isinstance(thing, _Storage) else None

    def save_named(self, thing):
        self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())
        if thing.arguments is not None:
            self.save(thing.arguments)
            self.write(pickle.REDUCE)

    def save_object(self, thing):
        self.save(thing.kind)
        self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
        self.save(thing.state)
        self.write(pickle.BUILD)

    dispatch[_Named], dispatch[_Object] = save_named, save_object


def dumped(thing, more=()):
    stream = io.BytesIO()
    pickler = _Pickler(stream, 2)
    pickler.more = more
    pickler.dump(thing)
    return stream.getvalue()


def tensor(offset, size, stride, kind="FloatStorage", numel=12):
    arguments = (_Storage(kind, "0", numel), offset, size, stride, False, collections.OrderedDict())
    return _Named("torch._utils", "_rebuild_tensor_v2", arguments)


def written(path, thing, numbers=NUMBERS, legacy=False):
    if legacy:
        start = [files.LEGACY_MAGIC, 1001, {"little_endian": True}]
        content = b"".join([*map(dumped, start), dumped(thing, (None,)), dumped(["0"])])
        path.write_bytes(content + struct.pack("<q", numbers.size) + numbers.tobytes())
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("net/data.pkl", dumped(thing))
            archive.writestr("net/data/0", numbers.tobytes())
    return path


@pytest.mark.parametrize("legacy", [False, True])
def test_views_prefixes_and_the_parts_of_a_checkpoint(tmp_path, legacy):
    parameter = _Named("torch._utils", "_rebuild_parameter", (tensor(6, (6,), (1,)), True, collections.OrderedDict()))
    thing = {
        "epoch": 3,
        "state_dict": {
            "module.a.weight": tensor(0, (2, 3), (1, 2)),
            "module.b": parameter,
            "features.denseblock1.denselayer1.norm.1.weight": tensor(0, (1,), (1,)),
        },
        "optimizer": {"state": {0: {"momentum": tensor(0, (2,), (1,))}}},
        "fc": {"module.fc.bias": tensor(1, (), ())},
    }
    state = weights.read_torch(written(tmp_path / "one.pth", thing, legacy=legacy))
    assert list(state) == ["a.weight", "b", "features.denseblock1.denselayer1.norm1.weight", "fc.bias"]
    np.testing.assert_array_equal(state["a.weight"], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(state["b"], NUMBERS[6:])
    assert state["fc.bias"] == 1.0


@pytest.mark.parametrize("legacy", [False, True])
def test_objects_beside_the_network_are_passed_over(tmp_path, legacy):
    """ISDA's checkpoints of ImageNet: the loss lies there as an object, in old files with the source of its class."""
    loss = _Object(
        "ISDA_imagenet", "ISDALoss", {"estimator": _Object("ISDA_imagenet", "EstimatorCV", {"n": 3})}, legacy
    )
    thing = {
        "epoch": 300,
        "state_dict": collections.OrderedDict({"module.fc.bias": tensor(0, (2,), (1,))}),
        "best_acc1": tensor(0, (), ()),
        "criterion_isda": loss,
    }
    state = weights.read_torch(written(tmp_path / "one.pth.tar", thing, legacy=legacy))
    assert list(state) == ["fc.bias"]
    whole = _Object("networks.resnet", "ResNet", {"weight": tensor(0, (2,), (1,))}, legacy)
    with pytest.raises(UsageError, match=r"it holds a networks.resnet.ResNet instead of a state dict; save its"):
        weights.read_torch(written(tmp_path / "two.pth", whole, legacy=legacy))


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_is_executed(tmp_path, legacy):
    target = tmp_path / "made"
    thing = {"a": tensor(0, (2,), (1,)), "b": _Named("os", "mkdir", (str(target),))}
    with pytest.raises(UsageError, match=r"one.pth: it names os.mkdir, which is neither a tensor nor a plain value"):
        weights.read_torch(written(tmp_path / "one.pth", thing, legacy=legacy))
    assert not target.exists()
    for module, name in (("builtins", "eval"), ("torch", "load"), ("torch._utils", "_rebuild_tensor")):
        with pytest.raises(UsageError, match=f"it names {module}.{name}"):
            weights.read_torch(written(tmp_path / "two.pth", {**thing, "b": _Named(module, name)}, legacy=legacy))


@pytest.mark.parametrize(
    "wrong",
    [
        tensor(0, (13,), (1,)),
        tensor(-1, (2,), (1,)),
        tensor(0, (2,), (-1,)),
        tensor(0, (2, 2), (12, 1)),
        tensor(0, (-1,), (1,)),
    ],
)
def test_a_tensor_cannot_leave_its_storage(tmp_path, wrong):
    with pytest.raises(UsageError, match="a tensor leaves its storage"):
        weights.read_torch(written(tmp_path / "one.pth", {"a": wrong}))


def test_damaged_files_and_other_ones(tmp_path):
    good = written(tmp_path / "good.pth", {"a": tensor(0, (12,), (1,))}, legacy=True).read_bytes()
    for content, message in (
        (b"", "damaged"),
        (b"hello", "damaged"),
        (good[:-4], "damaged"),
        (pickle.dumps(3), "no file"),
    ):
        (tmp_path / "one.pth").write_bytes(content)
        with pytest.raises(UsageError, match=f"one.pth: .*{message}"):
            weights.read_torch(tmp_path / "one.pth")
    with pytest.raises(UsageError, match="it holds no tensors but under epoch"):
        weights.read_torch(written(tmp_path / "two.pth", {"epoch": 3}))
    with pytest.raises(UsageError, match="it holds a list instead of a state dict"):
        weights.read_torch(written(tmp_path / "two.pth", [3]))
    with pytest.raises(UsageError, match="there is no such file"):
        weights.read_torch(tmp_path / "none.pth")
    with pytest.raises(UsageError, match="a storage is larger than the file"):
        weights.read_torch(written(tmp_path / "two.pth", {"a": tensor(0, (1,), (1,), numel=10**12)}, legacy=True))
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("other", "x")
    with pytest.raises(UsageError, match=r"it holds no data.pkl"):
        weights.read_torch(tmp_path / "script.pt")


def test_safetensors_by_the_bytes(tmp_path):
    """The format by its specification: length, header, numbers."""
    header = json.dumps({
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "BF16", "shape": [1], "data_offsets": [16, 18]},
    }).encode()  # fmt: skip
    content = struct.pack("<Q", len(header)) + header + NUMBERS[:4].tobytes() + b"\x80\x3f"
    (tmp_path / "one.safetensors").write_bytes(content)
    state = weights.read_torch(tmp_path / "one.safetensors")
    np.testing.assert_array_equal(state["a"], [[0, 1], [2, 3]])
    assert state["b"].astype(np.float32) == [1.0]
    (tmp_path / "two.safetensors").write_bytes(files.write_safetensors({"x": NUMBERS[:3], "y": NUMBERS.reshape(3, 4)}))
    again = weights.read_torch(tmp_path / "two.safetensors")
    np.testing.assert_array_equal(again["y"], NUMBERS.reshape(3, 4))
    for broken in (content[:30], b"", content.replace(b"BF16", b"BF99"), content[:-3]):
        (tmp_path / "one.safetensors").write_bytes(broken)
        with pytest.raises(UsageError, match=r"one.safetensors: "):
            weights.read_torch(tmp_path / "one.safetensors")
