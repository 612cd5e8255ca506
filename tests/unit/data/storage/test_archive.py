"""The published formats, whole and damaged: CIFAR's tarballs, SVHN's .mat files, and IDX."""

import gzip
import hashlib
import pathlib
import pickle

import numpy as np
import pytest
from helpers import dataset_copies as copies
from helpers.published_data import COLOR, assert_rows, load, no_outside, register, rows_of, write_archives  # noqa: F401

from jaxaug.core.errors import UsageError
from jaxaug.data import statistics
from jaxaug.data.sources import cifar10, cifar100, fashion_mnist, svhn
from jaxaug.data.storage import idx


class _Malicious:
    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path("pwned"),))


@pytest.mark.parametrize("value", [_Malicious(), {b"data": _Malicious()}, hashlib.sha256, eval])
def test_malicious_pickle_is_refused(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "cifar10" / cifar10.ARCHIVES[0].file
    path.parent.mkdir()
    content = pickle.dumps(value, protocol=2)
    copies.write_tarball(path, dict.fromkeys(sum(cifar10.MEMBERS.values(), ()), content))
    register(monkeypatch, "cifar10", path.parent)
    with pytest.raises(UsageError, match="cannot be read as a CIFAR archive: it asks for"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1]), pickle.dumps({b"data": "text"})])
def test_odd_cifar_batches_are_refused(content, tmp_path, monkeypatch):
    path = tmp_path / "cifar100" / cifar100.ARCHIVES[0].file
    path.parent.mkdir()
    copies.write_tarball(path, dict.fromkeys(sum(cifar100.MEMBERS.values(), ()), content))
    register(monkeypatch, "cifar100", path.parent)
    with pytest.raises(UsageError, match="cannot be read as a CIFAR archive"):
        load("cifar100", tmp_path)


def test_cifar_statistics(tmp_path, monkeypatch):
    train, _ = write_archives("cifar10", tmp_path / "cifar10")
    register(monkeypatch, "cifar10", tmp_path / "cifar10")
    assert load("cifar10", tmp_path).mean == (125.3 / 255, 123.0 / 255, 113.9 / 255)
    for word, std in {"deepaa": (0.2023, 0.1994, 0.2010), "autodo": (0.2470, 0.2435, 0.2616)}.items():
        found = load("cifar10", tmp_path, statistics=word)
        assert (found.mean, found.std) == ((0.4914, 0.4822, 0.4465), std)
        assert found.statistics_source == f"the released code of {word}"
    computed = load("cifar10", tmp_path, statistics="computed")
    np.testing.assert_allclose(computed.mean, (train[0] / 255).mean((0, 1, 2)))
    assert computed.statistics_source == "computed from the 200 training rows"
    with pytest.raises(UsageError, match="unknown statistics of cifar10 'other'"):
        load("cifar10", tmp_path, statistics="other")
    assert len(set(cifar100.CLASS_NAMES)) == 100


def test_svhn_extra(tmp_path, monkeypatch):
    train, _ = write_archives("svhn", tmp_path / "svhn")
    register(monkeypatch, "svhn", tmp_path / "svhn")
    more = copies.rows(50, COLOR, 10, 3)
    data = load("svhn", tmp_path, extra=True)
    np.testing.assert_array_equal(data.train.image, np.concatenate([train[0], more[0]]))
    np.testing.assert_array_equal(data.train.label, np.concatenate([train[1], more[1]]))
    np.testing.assert_array_equal(data.train.index, np.arange(250))


def test_damaged_mat_is_refused(tmp_path):
    (tmp_path / "train_32x32.mat").write_bytes(b"not MATLAB" * 100)
    with pytest.raises(UsageError, match="cannot be read as an SVHN"):
        svhn.decode_mat(tmp_path / "train_32x32.mat")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_plain_idx(name, tmp_path, monkeypatch):
    write_archives(name, tmp_path / name)
    register(monkeypatch, name, tmp_path / name)
    for path in list((tmp_path / name).glob("*.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert_rows(load(name, tmp_path), *rows_of(name))


def test_mnist_packed_anew_is_read_and_not_cached(tmp_path):
    write_archives("mnist", tmp_path / "mnist")
    assert_rows(load("mnist", tmp_path), *rows_of("mnist"))
    assert not list((tmp_path / "mnist").glob("decoded-*"))


# Without names the tests would be called by their bytes, which hold the time: two workers would collect different ones.
@pytest.mark.parametrize(
    ("file", "content"),
    [
        (0, gzip.compress(copies.idx_bytes(np.zeros((200, 28, 28)))[:-1])),
        (0, gzip.compress(copies.idx_bytes(np.zeros((199, 28, 28))))),
        (0, gzip.compress(copies.idx_bytes(np.zeros((200, 8, 8))))),
        (1, gzip.compress(b"\0\0\x09\x01" + b"\0" * 10)),
        (1, gzip.compress(b"")),
        (2, b"not gzip"),
        (2, gzip.compress(copies.idx_bytes(np.zeros((100, 28, 28))))[:-9]),
        (2, gzip.compress(b"")[:10] + b"\xff" * 20),
    ],
    ids=["cut", "a row less", "other shape", "no rows", "empty", "not gzip", "cut gzip", "broken gzip"],
)
def test_damaged_idx_is_refused(file, content, tmp_path):
    write_archives("mnist", tmp_path / "mnist")
    (tmp_path / "mnist" / idx.FILES[file]).write_bytes(content)
    with pytest.raises(UsageError, match=idx.FILES[file]):
        load("mnist", tmp_path)


def test_real_fashion_mnist_from_debian(tmp_path, monkeypatch):
    folder = pathlib.Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("apt-get install dataset-fashion-mnist")
    monkeypatch.setattr(fashion_mnist, "DEBIAN", str(folder))
    data = load("fashion_mnist", tmp_path, validation_size=10000)
    assert (len(data.train), len(data.validation), len(data.test)) == (50000, 10000, 10000)
    np.testing.assert_array_equal(np.bincount(data.validation.label), 1000)
    whole = load("fashion_mnist", tmp_path)
    mean, std = statistics.channel_statistics(whole.train.image)
    np.testing.assert_allclose((mean, std), (whole.mean, whole.std), atol=5e-5)
    assert list(whole.train.label[:5]) == [9, 0, 0, 3, 0]
