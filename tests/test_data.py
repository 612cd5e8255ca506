"""The data sources on small copies in the published formats, the validation cut, and batching."""

import dataclasses
import gzip
import hashlib
import http.server
import importlib
import pathlib
import pickle
import pkgutil
import subprocess
import sys
import threading
import time

import hypothesis
import hypothesis.strategies as st
import jax
import ml_collections
import numpy as np
import prepared as copies
import pytest

import jaxaug.data
from jaxaug.data import (
    Data,
    Split,
    assemble,
    batches,
    cache,
    cifar10,
    cifar100,
    cut,
    fashion_mnist,
    find_places,
    idx,
    seeds,
    statistics,
    svhn,
)
from jaxaug.data import prepared as prepared_sets
from jaxaug.errors import UsageError

COLOUR, GREY = (32, 32, 3), (28, 28, 1)
STOCK = ("cifar10", "cifar100", "svhn", "mnist", "fashion_mnist")
PREPARED = {"cifar10": "cifar10", "cifar100": "cifar100", "svhn": "svhn_cropped"}


def config_for(name, folder="", **options):
    return ml_collections.ConfigDict(
        {"name": name, "validation_size": 0, "seed": 0, "dir": str(folder), "download": False, **options}
    )


def load(name, folder="", **options):
    return importlib.import_module(f"jaxaug.data.{name}").load(config_for(name, folder, **options))


def rows_of(name):
    """(train, test) of a small copy of a set."""
    shape = COLOUR if name in PREPARED else GREY
    classes = 100 if name == "cifar100" else 10
    return copies.rows(200, shape, classes, 1), copies.rows(100, shape, classes, 2)


def write_archives(name, folder):
    """Writes the official archives of a set into `folder`; returns its rows."""
    train, test = rows_of(name)
    folder.mkdir(parents=True, exist_ok=True)
    if name == "svhn":
        for split, arrays in {"train": train, "test": test, "extra": copies.rows(50, COLOUR, 10, 3)}.items():
            copies.write_svhn(folder / f"{split}_32x32.mat", *arrays)
    elif name.startswith("cifar"):
        module, key = (cifar10, b"labels") if name == "cifar10" else (cifar100, b"fine_labels")
        copies.write_cifar(folder / module.ARCHIVES[0].file, module.MEMBERS, key, train, test)
    else:
        copies.write_idx(folder, train, test)
    return train, test


def register(monkeypatch, name, folder):
    """Records the small copies' checksums in place of the published ones."""
    module = importlib.import_module(f"jaxaug.data.{name}")
    if name == "svhn":
        small = {key: copies.register(one, folder / one.file) for key, one in module.ARCHIVES.items()}
    else:
        small = tuple(copies.register(one, folder / one.file) for one in module.ARCHIVES)
    monkeypatch.setattr(module, "ARCHIVES", small)
    return list(small.values()) if name == "svhn" else list(small)


@pytest.fixture(autouse=True)
def no_outside(monkeypatch, tmp_path):
    """Tests see neither this machine's data nor its network."""
    import pooch

    def refuse(url, **options):
        raise OSError(f"Failed to resolve host of {url}")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", str(tmp_path / "debian"))
    monkeypatch.delenv("JAXAUG_DATA_DIR", raising=False)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def assert_rows(data, train, test):
    for split, (image, label) in ((data.train, train), (data.test, test)):
        np.testing.assert_array_equal(split.image, image)
        np.testing.assert_array_equal(split.label, label)
        np.testing.assert_array_equal(split.index, np.arange(len(label)))
        assert (split.image.dtype, split.label.dtype, split.index.dtype) == (np.uint8, np.int32, np.int32)


# Sources


def test_every_source_is_covered():
    modules = [info.name for info in pkgutil.iter_modules(jaxaug.data.__path__)]
    sources = {name for name in modules if hasattr(importlib.import_module(f"jaxaug.data.{name}"), "load")}
    assert sources == {*STOCK, "digits", "npz"}


def test_importing_is_light():
    heavy = "jax, tensorflow_datasets, pooch, scipy, sklearn, requests"
    code = f"import sys, jaxaug.data; sys.exit(str([n for n in '{heavy}'.split(', ') if n in sys.modules]))"
    root = pathlib.Path(jaxaug.data.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", STOCK)
def test_archive_then_cache(name, tmp_path, monkeypatch):
    folder = tmp_path / name
    train, test = write_archives(name, folder)
    archives = register(monkeypatch, name, folder)
    first = load(name, tmp_path)
    assert_rows(first, train, test)
    assert first.name == name
    assert first.num_classes == len(first.class_names) == (100 if name == "cifar100" else 10)
    assert first.statistics_source
    for archive in archives:
        (folder / archive.file).unlink()
    assert [path.name.split("-")[0] for path in folder.iterdir()] == ["decoded"]
    second = load(name, tmp_path, validation_size=20)
    assert len(second.train) == 180
    np.testing.assert_array_equal(second.validation.image, train[0][second.validation.index])
    assert isinstance(load(name, tmp_path).train.image, np.memmap)


@pytest.mark.parametrize("name", [name for name in STOCK if name != "mnist"])
def test_wrong_checksum_is_refused(name, tmp_path):
    write_archives(name, tmp_path / name)
    with pytest.raises(UsageError, match=r"not the published file.*\n?.*curl"):
        load(name, tmp_path)


@pytest.mark.parametrize("name", STOCK)
def test_missing_set_says_where_and_how(name, tmp_path):
    start = time.monotonic()
    for download in (False, True):
        with pytest.raises(UsageError) as caught:
            load(name, tmp_path, download=download)
        message = str(caught.value)
        assert f"{tmp_path / name}" in message
        assert "curl --create-dirs -fL -o" in message
        assert f"tfds build {PREPARED.get(name, name)} --file_format=array_record" in message
        assert ("could not be downloaded" in message) == download
        assert ("--config.data.download=True" in message) == (not download)
        assert ("apt-get install dataset-fashion-mnist" in message) == (name == "fashion_mnist")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("with_id", [True, False])
def test_tfds_copy_is_read_in_published_order(with_id, tmp_path, monkeypatch):
    name = "cifar10" if with_id else "mnist"
    train, test = rows_of(name)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    made = copies.write_tfds(tmp_path / "prepared", name, {"train": train, "test": test}, with_id)
    assert_rows(load(name), train, test)
    assert "tensorflow" not in sys.modules
    monkeypatch.setattr(prepared_sets, "read", None)
    assert_rows(load(name), train, test)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="has no split extra"):
        prepared_sets.read(made, ("train", "extra"))
    (made / "features.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read by tensorflow-datasets"):
        prepared_sets.read(made, ("train",))


def test_tfds_copy_of_svhn_with_extra(tmp_path):
    (train, test), extra = rows_of("svhn"), copies.rows(50, COLOUR, 10, 3)
    copies.write_tfds(tmp_path, "svhn_cropped", {"train": train, "test": test, "extra": extra}, with_id=True)
    assert_rows(load("svhn", tmp_path), train, test)
    for _ in range(2):
        both = load("svhn", tmp_path, extra=True)
        assert_rows(both, [np.concatenate(pair) for pair in zip(train, extra, strict=True)], test)


def test_tfrecord_copy_says_how_to_prepare_anew(tmp_path):
    version = tmp_path / "cifar10" / "3.0.2"
    version.mkdir(parents=True)
    (version / "dataset_info.json").write_text("{}")
    (version / "cifar10-train.tfrecord-00000-of-00001").touch()
    with pytest.raises(UsageError, match=r"3\.0\.2 is not in array_record format(.|\n)*--overwrite"):
        load("cifar10", tmp_path)


def test_newest_readable_version_is_taken(tmp_path):
    for version in ("3.0.2", "3.0.10", "4.0.0", "incomplete.1.2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "dataset_info.json").touch()
        (tmp_path / version / f"x.{'tfrecord' if version == '4.0.0' else 'array_record'}-0").touch()
    assert prepared_sets.find(tmp_path) == (tmp_path / "3.0.10", [tmp_path / "4.0.0"])


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
    computed = load("cifar10", tmp_path, statistics="computed")
    np.testing.assert_allclose(computed.mean, (train[0] / 255).mean((0, 1, 2)))
    assert computed.statistics_source == "computed from the 200 training rows"
    with pytest.raises(UsageError, match="statistics='other'"):
        load("cifar10", tmp_path, statistics="other")
    assert len(set(cifar100.CLASS_NAMES)) == 100


def test_svhn_extra(tmp_path, monkeypatch):
    train, _ = write_archives("svhn", tmp_path / "svhn")
    register(monkeypatch, "svhn", tmp_path / "svhn")
    more = copies.rows(50, COLOUR, 10, 3)
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


@pytest.mark.parametrize("served", ["right", "wrong"])
def test_download_is_verified(served, tmp_path, monkeypatch):
    site = tmp_path / "site"
    train, test = write_archives("cifar10", site)
    archive = register(monkeypatch, "cifar10", site)[0]
    if served == "wrong":
        (site / archive.file).write_bytes(b"<html>not found</html>")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(site))

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{archive.file}"
    monkeypatch.setattr(cifar10, "ARCHIVES", (dataclasses.replace(archive, url=url),))
    from pooch.core import retrieve

    monkeypatch.setattr("pooch.retrieve", retrieve)
    try:
        if served == "right":
            assert_rows(load("cifar10", tmp_path, download=True), train, test)
        else:
            with pytest.raises(UsageError, match="could not be downloaded"):
                load("cifar10", tmp_path, download=True)
            assert not (tmp_path / "cifar10" / archive.file).exists()
    finally:
        server.shutdown()
        server.server_close()


def test_digits():
    data = load("digits", validation_size=0.1, seed=1)
    assert (len(data.train), len(data.validation), len(data.test)) == (1212, 135, 450)
    assert data.image_shape == (8, 8, 1)
    assert data.train.image.max() == 255
    assert data.statistics_source == "computed from the 1212 training rows"
    other = load("digits", validation_size=0.1, seed=2)
    np.testing.assert_array_equal(data.test.image, other.test.image)
    assert not np.array_equal(data.validation.index, other.validation.index)
    from sklearn.datasets import load_digits

    levels = np.unique(load_digits().images)
    assert set(np.unique(data.train.image)) <= set(np.round(levels * 255 / 16).astype(int))


# Cache and places


def test_damaged_cache_is_made_anew(tmp_path, monkeypatch):
    train, test = write_archives("mnist", tmp_path / "mnist")
    register(monkeypatch, "mnist", tmp_path / "mnist")
    load("mnist", tmp_path)
    path = next((tmp_path / "mnist").glob("decoded-*/train_image.npy"))
    path.write_bytes(path.read_bytes()[:-100])
    assert_rows(load("mnist", tmp_path), train, test)
    assert path.stat().st_size > train[0].size
    assert not list((tmp_path / "mnist").glob("partial-*"))


def test_folder_that_cannot_be_written_is_no_error(tmp_path, caplog):
    (tmp_path / "file").touch()
    arrays = {"train_label": np.arange(3)}
    assert cache.save(tmp_path / "file", "0" * 64, arrays) is arrays
    assert "not cached" in caplog.text


def test_second_writer_of_a_cache_changes_nothing(tmp_path):
    arrays = {"train_image": np.ones((2, 4, 4, 1), np.uint8), "train_label": np.arange(2)}
    cache.save(tmp_path, "0" * 64, arrays)
    again = cache.save(tmp_path, "0" * 64, arrays)
    np.testing.assert_array_equal(again["train_label"], arrays["train_label"])
    assert [path.name for path in tmp_path.iterdir()] == ["decoded-" + "0" * 16]


def test_full_disk_is_no_error(tmp_path, monkeypatch, caplog):
    def full(*arguments, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", full)
    arrays = {"train_label": np.arange(3)}
    assert cache.save(tmp_path, "0" * 64, arrays) is arrays
    assert "No space left" in caplog.text
    assert not list(tmp_path.iterdir())


def test_places(monkeypatch, tmp_path):
    home = tmp_path / "home"
    places = find_places(config_for("mnist"))
    assert (places.archives, places.prepared) == (home / ".cache/jaxaug/data", home / "tensorflow_datasets")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    assert find_places(config_for("mnist")).prepared == tmp_path / "tfds"
    monkeypatch.setenv("JAXAUG_DATA_DIR", str(tmp_path / "all"))
    assert find_places(config_for("mnist")).archives == find_places(config_for("mnist")).prepared == tmp_path / "all"
    assert find_places(config_for("mnist", "~/mine")).archives == home / "mine"


# A user's own arrays


def arrays_for_npz(**changes):
    train, test = copies.rows(20, (6, 5, 3), 4), copies.rows(8, (6, 5, 3), 4)
    arrays = {"train_image": train[0], "train_label": train[1], "test_image": test[0], "test_label": test[1]}
    return {key: value for key, value in (arrays | changes).items() if value is not None}


def load_npz(tmp_path, options=None, **changes):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays_for_npz(**changes))
    return load("npz", path=str(path), **(options or {}))


def test_npz(tmp_path):
    data = load_npz(tmp_path)
    assert_rows(data, *(list(arrays_for_npz().values())[i : i + 2] for i in (0, 2)))
    assert (data.num_classes, data.class_names) == (4, ("0", "1", "2", "3"))
    assert load_npz(tmp_path, {"num_classes": 7}).num_classes == 7
    grey = {key: arrays_for_npz()[key][..., 0].astype(np.float32) for key in ("train_image", "test_image")}
    data = load_npz(tmp_path, **grey)
    assert data.image_shape == (6, 5, 1)
    assert data.train.image.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_label": None}, "but not test_label"),
        ({"train_label": np.array([None] * 20)}, "cannot be read"),
        ({"train_label": np.zeros(20)}, "labels of train are float64"),
        ({"train_label": np.array(["a"] * 20)}, "labels of train are <U1"),
        ({"train_label": np.full(20, 10**9)}, "has a label 1000000000"),
        ({"test_label": np.full(8, -1)}, "row 0 of test has label -1"),
        ({"train_label": np.full(20, 2**32 - 3)}, "has a label 4294967293"),
        ({"train_image": np.zeros((20, 6, 5, 3))}, "images of train are float64"),
        ({"train_image": np.full((20, 6, 5, 3), 0.5, np.float32)}, "lies in 0.5..0.5"),
        ({"train_image": np.full((20, 6, 5, 3), 256, np.float32)}, "lies in 256..256"),
        ({"train_image": np.zeros((20, 6, 5, 1), np.uint8)}, "images of test are"),
        ({"train_image": np.zeros((20, 90), np.uint8)}, "must be"),
        ({"train_image": np.zeros((19, 6, 5, 3), np.uint8)}, "19 images need as many"),
    ],
)
def test_npz_errors(changes, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        load_npz(tmp_path, **changes)


def test_npz_file_errors(tmp_path):
    with pytest.raises(UsageError, match=r"set config\.data\.path"):
        load("npz")
    with pytest.raises(UsageError, match="there is no file"):
        load("npz", path=str(tmp_path / "none.npz"))
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("text")
    for name in ("one.npy", "text.npz"):
        with pytest.raises(UsageError, match="cannot be read"):
            load("npz", path=str(tmp_path / name))


# Records


def small(train=None, test=None, **options):
    train = train or copies.rows(12, (4, 4, 1), 3)
    test = test or copies.rows(6, (4, 4, 1), 3)
    return assemble("small", train, test, **{"num_classes": 3, "class_names": ("a", "b", "c"), **options})


def float_rows(count, bad_row, value):
    image, label = copies.rows(count, (4, 4, 1), 3)
    image = image.astype(np.float32)
    image[bad_row, 1, 1] = value
    return image, label


def test_validation_errors():
    image, label = copies.rows(12, (4, 4, 1), 3)
    wrong = label.copy()
    wrong[[5, 7]] = 3
    cases = {
        "no training rows": {"train": (image[:0], label[:0])},
        "row 5 of train has label 3; with 3 classes it must be 0..2": {"train": (image, wrong)},
        "row 5 of test has label 3": {"test": (image, wrong)},
        "images of test are .4, 4, 2.": {"test": (np.repeat(image, 2, 3), label)},
        "it must be .N H W C.": {"train": (image[..., 0], label)},
        "images of train are int64": {"train": (image.astype(np.int64), label)},
        "row 8 of train has NaN or infinity": {"train": float_rows(12, 8, np.nan)},
        "row 3 of test has NaN or infinity": {"test": float_rows(12, 3, -np.inf)},
        "mean has 3 values": {"mean": (0.5,) * 3, "std": (0.5,) * 3},
        "3 class names for 2 classes": {
            "train": (image, label % 2),
            "test": (image, label % 2),
            "num_classes": 2,
        },
        "labels of train are float": {"train": (image, label / 2)},
        "12 images need as many": {"train": (image, label[:-1])},
    }
    for message, options in cases.items():
        with pytest.raises(UsageError, match=message):
            small(**options)


def test_split_fields_are_checked():
    data = small()
    split = data.train
    for wrong, message in (
        (Split(split.image, split.label.astype(np.int64), split.index), "label of train is int64"),
        (Split(split.image, split.label, split.index[:-1]), "index of train has shape"),
    ):
        with pytest.raises(UsageError, match=message):
            dataclasses.replace(data, train=wrong)


def test_statistics_in_chunks(monkeypatch):
    image, _ = copies.rows(50, (4, 5, 2), 3)
    monkeypatch.setattr(statistics, "CHUNK_ROWS", 7)
    for pixels in (image, image.astype(np.float32)):
        mean, std = statistics.channel_statistics(pixels)
        np.testing.assert_allclose(mean, (image / 255).mean((0, 1, 2)))
        np.testing.assert_allclose(std, (image / 255).std((0, 1, 2)))
    assert statistics.channel_statistics(np.full((3, 2, 2, 1), 9, np.uint8))[1] == (1 / 255,)


# The validation cut

LABELS = st.lists(st.integers(0, 6), min_size=2, max_size=200).map(lambda values: np.array(values, np.int32))


@hypothesis.settings(deadline=None)
@hypothesis.given(LABELS, st.data())
def test_cut_is_stratified(label, drawn):
    size = drawn.draw(st.integers(0, len(label) - 1))
    seed = drawn.draw(st.integers(0, 2**40))
    kept, taken = cut.stratified_cut(label, size, seed)
    assert (len(kept), len(taken)) == (len(label) - size, size)
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, taken])), np.arange(len(label)))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(taken) > 0).all()
    exact = np.bincount(label, minlength=7) * size / len(label)
    assert (np.abs(np.bincount(label[taken], minlength=7) - exact) < 1).all()
    np.testing.assert_array_equal(cut.stratified_cut(label, size, seed)[1], taken)


@hypothesis.given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.data())
def test_largest_remainders(counts, drawn):
    size = drawn.draw(st.integers(0, max(sum(counts) - 1, 0)))
    shares = cut.counts_per_class(np.array(counts), size)
    remainders = np.array(counts) * size / max(sum(counts), 1) - shares
    assert shares.sum() == size
    # No class that was rounded down was left more than one that was rounded up had.
    assert remainders.max() <= remainders.min() + 1 + 1e-9


def test_cut_in_assemble():
    train = copies.rows(120, (4, 4, 1), 3)
    data = small(train, validation_size=0.25, seed=3)
    assert (len(data.train), len(data.validation)) == (90, 30)
    np.testing.assert_array_equal(np.bincount(data.validation.label), 10)
    for split in (data.train, data.validation):
        np.testing.assert_array_equal(split.image, train[0][split.index])
        np.testing.assert_array_equal(split.label, train[1][split.index])
    assert data.statistics_source == "computed from the 90 training rows"
    np.testing.assert_array_equal(small(train, validation_size=30, seed=3).validation.index, data.validation.index)
    assert not np.array_equal(small(train, validation_size=30, seed=4).validation.index, data.validation.index)
    assert len(small(train).validation) == 0


@pytest.mark.parametrize("size", [12, 13, -1, 2.5, 12.0, -0.5, float("nan"), float("inf")])
def test_cut_must_leave_rows(size):
    with pytest.raises(UsageError, match="validation_size"):
        small(validation_size=size)


def test_negative_seed():
    with pytest.raises(UsageError, match="seed"):
        seeds.generator(-1, 0)


# Batches


@hypothesis.settings(deadline=None)
@hypothesis.given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**33), st.integers(0, 60))
def test_resume_anywhere(size, batch_size, seed, start):
    hypothesis.assume(batch_size <= size)
    straight = batches.training_rows(size, batch_size, seed, 0)
    resumed = batches.training_rows(size, batch_size, seed, start)
    for _ in range(start):
        next(straight)
    for step in range(start, start + 5):
        (one, rows), (other, same) = next(straight), next(resumed)
        assert one == other == step
        np.testing.assert_array_equal(rows, same)
        assert rows.shape == (batch_size,)


def test_each_row_once_per_epoch():
    stream = batches.training_rows(10, 3, 0, 0)
    epochs = [np.concatenate([next(stream)[1] for _ in range(3)]) for _ in range(4)]
    assert all(len(set(epoch.tolist())) == 9 for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    order = batches.epoch_order(5, 2, 100)
    assert sorted(order.tolist()) == list(range(100))
    np.testing.assert_array_equal(order, batches.epoch_order(5, 2, 100))
    assert not np.array_equal(order, batches.epoch_order(6, 2, 100))
    for batch_size in (11, 0):
        with pytest.raises(UsageError, match="batch_size"):
            batches.training_rows(10, batch_size, 0, 0)


@hypothesis.given(st.integers(0, 50), st.integers(1, 20))
def test_evaluation_rows(size, batch_size):
    rows = batches.evaluation_rows(size, batch_size)
    assert all(batch.shape == (batch_size,) and batch.dtype == np.int32 for batch in rows)
    flat = np.concatenate([*rows, np.zeros(0, np.int32)])
    np.testing.assert_array_equal(flat[:size], np.arange(size))
    assert (flat[size:] == -1).all()
    assert len(flat) - size < batch_size


def test_evaluation_batch_size():
    with pytest.raises(UsageError, match="batch_size"):
        batches.evaluation_rows(5, 0)


def test_take():
    data = small()
    on_device = jax.tree.map(jax.numpy.asarray, data.train)
    assert isinstance(on_device, Split)
    rows = np.array([3, 0, -1, 11, -1], np.int32)
    taken = jax.jit(batches.take)(on_device, rows)
    np.testing.assert_array_equal(taken.label[:2], data.train.label[[3, 0]])
    np.testing.assert_array_equal(taken.label[np.array([2, 4])], -1)
    np.testing.assert_array_equal(taken.index, [3, 0, 0, 11, 0])
    np.testing.assert_array_equal(taken.image, data.train.image[np.maximum(rows, 0)])
    assert (taken.image.dtype, taken.label.dtype, taken.index.dtype) == (np.uint8, np.int32, np.int32)
    assert isinstance(data, Data)
