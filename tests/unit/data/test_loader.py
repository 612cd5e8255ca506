"""Rows on their way to the devices: gathered there or sent, the batches are the same."""

import jax
import numpy as np
import pytest
from helpers.photographs import write_photographs

from jaxaug import data
from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import make_mesh
from jaxaug.data.dataset import Split
from jaxaug.data.loader import PLACES, Loader, check_placement

ROWS = 11
SPLIT = Split(
    np.random.default_rng(0).integers(0, 256, (ROWS, 4, 5, 3)).astype(np.uint8),
    np.arange(ROWS, dtype=np.int32) % 3,
    np.arange(100, 100 + ROWS, dtype=np.int32),
)
gather = jax.jit(data.take)


@pytest.fixture(params=[1, 2])
def mesh(request):
    return jax.sharding.Mesh(np.array(jax.devices()[: request.param]), ("data",))


def both(mesh, split=SPLIT):
    return [Loader(split, mesh, place) for place in PLACES]


def test_sent_rows_are_the_gathered_ones(mesh, tmp_path):
    """Padding included, and from a file mapped into memory."""
    np.save(tmp_path / "image.npy", SPLIT.image)
    mapped = Split(np.load(tmp_path / "image.npy", mmap_mode="r"), SPLIT.label, SPLIT.index)
    rows = np.array([3, -1, 10, 3], np.int32)
    gathered, sent = (gather(*give(rows)) for give in both(mesh, mapped))
    np.testing.assert_array_equal(gathered.image, SPLIT.image[[3, 0, 10, 3]])
    for field in ("image", "label", "index"):
        one, other = getattr(gathered, field), getattr(sent, field)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert [*sent.label] == [0, -1, 1, 0]


def test_every_row_once(mesh):
    """In batches that the devices divide, the last one filled up."""
    for give in both(mesh):
        batches = [gather(*rows) for rows in give.whole(5)]
        size = 5 if mesh.size == 1 else 6
        assert {len(batch.label) for batch in batches} == {size}
        label = np.concatenate([batch.label for batch in batches])
        index = np.concatenate([batch.index for batch in batches])
        np.testing.assert_array_equal(index[label >= 0], SPLIT.index)


def test_each_device_is_sent_its_share(mesh):
    """Of several steps at once: [n B] is cut along B."""
    give = Loader(SPLIT, mesh, "host")
    chosen = give(np.arange(8, dtype=np.int32).reshape(2, 4)).chosen
    assert chosen.image.shape == (2, 4, *SPLIT.image.shape[1:])
    assert {part.data.shape[1] for part in chosen.image.addressable_shards} == {4 // mesh.size}


def test_images_without_room_are_refused(monkeypatch):
    """A policy's pool counts, unless it is the training rows."""

    class Small:
        def memory_stats(self):
            return {"bytes_limit": 200_000}

    digits = data.load("digits")  # 115,008 bytes, 86,208 of them for training
    pool = digits.train.at(slice(None))
    check_placement(digits, pool, "device")
    monkeypatch.setattr(jax, "local_devices", lambda: [Small()])
    check_placement(digits, digits.train, "device")
    with pytest.raises(UsageError, match=r"set place=host"):
        check_placement(digits, pool, "device")
    check_placement(digits, pool, "host")
    with pytest.raises(UsageError, match=r"place must be one of"):
        check_placement(digits, digits.train, "disk")


def test_devices_hold_the_split_once():
    """Placed whole on each device, and nothing of it if it is sent."""
    mesh = make_mesh()
    held, sent = both(mesh)
    assert held(np.zeros(2, np.int32)).source.image.pixels.sharding.is_fully_replicated
    assert sent(np.zeros(2, np.int32)).source is None
    assert sent.sends
    assert not held.sends


def test_lazy_images_are_read_for_all_devices(mesh, tmp_path):
    """Of several steps at once; padding and what cannot be read have no label; sent wherever they are to lie."""
    write_photographs(tmp_path / "train", ["a", "b"], 3)
    write_photographs(tmp_path / "val", ["a"], 1)
    (tmp_path / "train" / "b" / "1.JPEG").write_text("broken")
    split = data.load("imagenet", path=str(tmp_path), size=8).train
    give, rows = Loader(split, mesh, seed=3), np.array([[0, 4, 2, 5], [5, -1, 0, 1]], np.int32)
    assert give.sends
    chosen = give(rows, numbers=np.array([[6], [7]])).chosen
    np.testing.assert_array_equal(chosen.label, [[0, -1, 0, 1], [1, -1, 0, 0]])
    np.testing.assert_array_equal(chosen.index, np.maximum(rows, 0))
    expected = split.image.read(rows, 3, np.array([[6] * 4, [7] * 4]))[0]
    np.testing.assert_array_equal(chosen.image, expected)
    assert (expected[0, 0] != expected[1, 2]).any()
    whole = np.concatenate([batch.chosen.image for batch in give.whole(2)])
    np.testing.assert_array_equal(whole, split.image[:])
