"""Every data source: its official files, the cached copy of them, the download, and what a missing set says."""

import dataclasses
import http.server
import pathlib
import pkgutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from helpers.published_data import PREPARED, STOCK, assert_rows, load, no_outside, register, write_archives  # noqa: F401

import jaxaug.data.sources
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import options_of, resolve
from jaxaug.data.sources import cifar10


def test_every_source_is_covered():
    modules = {info.name for info in pkgutil.iter_modules(jaxaug.data.sources.__path__) if info.name[0] != "_"}
    assert (
        modules
        == {*jaxaug.data.list()}
        == {*STOCK, "digits", "npz", "folder", "table", "imagenet", "label_maps", "cityscapes", "voc"}
    )
    assert jaxaug.data.list("cifar*") == ["cifar10", "cifar100"]


@pytest.mark.parametrize("name", jaxaug.data.list())
def test_every_option_has_its_meaning(name):
    assert [option.name for option in options_of(resolve("data", name)) if not option.meaning] == []


@pytest.mark.parametrize(
    ("done", "heavy"),
    [
        ("jaxaug.data.list()", "jax, tensorflow_datasets, pooch, scipy, sklearn, requests"),
        ("jaxaug.data.load('digits', validation_size=0.1, noise=0.1)", "jax, flax, tensorflow_datasets, pooch"),
    ],
)
def test_importing_is_light(done, heavy):
    code = f"import sys, jaxaug.data; {done}; sys.exit(str([n for n in '{heavy}'.split(', ') if n in sys.modules]))"
    root = pathlib.Path(jaxaug.data.__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert ended.stderr.strip() == "[]"


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
        assert ("download=True" in message) == (not download)
        assert ("apt-get install dataset-fashion-mnist" in message) == (name == "fashion_mnist")
    assert time.monotonic() - start < 5


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
