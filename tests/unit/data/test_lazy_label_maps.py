"""Label maps that stay in their files: sent with their images as those held in memory are."""

import jax
import numpy as np
import pytest
from helpers.road_scenes import write_cityscapes

from jaxaug import data
from jaxaug.data.contents import image_digests, row_arrays
from jaxaug.data.lazy_label_maps import LazyLabelMaps
from jaxaug.data.loader import Loader


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """(lazy, held) of a folder, with options."""
    folder = tmp_path_factory.mktemp("scenes")
    write_cityscapes(folder / "tree", shape=(10, 20), train=5, val=3)

    def both(**options):
        options |= {"path": str(folder / "tree"), "directory": str(folder)}
        return [data.load("cityscapes", lazy=lazy, **options) for lazy in (True, False)]

    return both


@pytest.mark.parametrize("devices", [1, 2])
def test_sent_as_those_in_memory(sets, devices):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("data",))
    lazy, held = sets()
    for rows in (np.array([3, -1, 4, 3], np.int32), np.array([[0, 1], [2, -1]], np.int32)):
        sent, expected = (Loader(one.train, mesh, "host")(rows, numbers=np.array(0)).chosen for one in (lazy, held))
        for field in ("image", "label", "index"):
            one, other = getattr(sent, field), getattr(expected, field)
            assert (one.dtype, one.sharding) == (other.dtype, other.sharding)
            np.testing.assert_array_equal(one[rows >= 0], other[rows >= 0])
        assert (sent.label[rows < 0] == -1).all()


def test_every_row_once(sets):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",))
    lazy, held = sets()
    label = np.concatenate([rows.chosen.label for rows in Loader(lazy.train, mesh).whole(2)])
    np.testing.assert_array_equal(label[:5], held.train.label)
    assert (label[5:] == -1).all()


@pytest.mark.parametrize(
    "options", [{"rows": "both"}, {"ablation": "oversplit"}, {"ablation": "overfit"}, {"subsample": 0.5}]
)
def test_rows_are_moved_unread(sets, options):
    lazy, held = sets(validation_size=2, **options)
    for name, split in lazy.splits().items():
        assert isinstance(split.label, LazyLabelMaps)
        np.testing.assert_array_equal(split.label[:], held.splits()[name].label)
        np.testing.assert_array_equal(split.image[:], held.splits()[name].image)


def test_what_a_run_remembers_of_them(sets, tmp_path):
    lazy, _ = sets()
    assert set(image_digests(lazy)) == {f"{s}_{k}" for s in ("train", "validation", "test") for k in ("image", "label")}
    assert "train_label" not in row_arrays(lazy)
    before, label = image_digests(lazy), lazy.train.label.source._pairs[0].label
    content = label.read_bytes()
    label.write_bytes(content + b" ")
    changed = {name for name, digest in image_digests(lazy).items() if digest != before[name]}
    label.write_bytes(content)
    assert changed == {"train_label"}
