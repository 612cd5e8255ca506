"""Collate: what loaders hand over in every form, the last partial batch, and every mistake told with its remedy."""

import multiprocessing
import pickle
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import augment
from jaxaug.augment.functional import _execute
from jaxaug.core.errors import UsageError
from jaxaug.policies.policy import make_policy

POLICY = make_policy([[[("Invert", 0.0, 0.5), ("Identity", 0.0, 0.5)]]])
LABELS = np.arange(6) % 4


def images_of(count=6, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 10, channels), dtype=np.uint8)


@pytest.mark.parametrize(
    "transform", [POLICY, augment.flip(), augment.compose(POLICY, augment.flip(), mean=[0], std=[1])]
)
def test_every_form_gives_the_same(transform):
    """Samples, a pair of arrays, images alone; rows last or channels first."""
    images = images_of()
    found, labels = augment.Collate(transform, seed=3)((images, LABELS))
    assert isinstance(found, jax.Array)
    np.testing.assert_array_equal(labels, LABELS)
    assert (np.asarray(found) != np.asarray(augment.Collate(transform, seed=4)(images))).any()
    samples, numbers = augment.Collate(transform, seed=3)(
        [(image, int(y)) for image, y in zip(images, LABELS, strict=True)]
    )
    np.testing.assert_array_equal(samples, found)
    np.testing.assert_array_equal(numbers, LABELS)
    np.testing.assert_array_equal(augment.Collate(transform, seed=3)(list(images)), found)
    first = augment.Collate(transform, seed=3, layout="NCHW")([images.transpose(0, 3, 1, 2), jnp.asarray(LABELS)])
    np.testing.assert_array_equal(first[0].transpose(0, 2, 3, 1), found)


def test_calls():
    """Each call draws anew; the number of the call is all there is to resume."""
    collate, images = augment.Collate(augment.flip(), seed=1), images_of(32)
    first, second = collate(images), collate(images)
    assert (np.asarray(first) != np.asarray(second)).any()
    again = augment.Collate(augment.flip(), seed=1)
    again.calls = 1
    np.testing.assert_array_equal(again(images), second)
    assert collate.calls == again.calls == 2


@pytest.mark.parametrize("batch_size", [None, 6])
def test_a_partial_batch_compiles_nothing_anew(batch_size, caplog):
    images = images_of()
    pipeline = augment.compose(augment.flip(), mean=(0.5,), std=(0.25,))
    collate = augment.Collate(pipeline, batch_size=batch_size)
    collate((images, LABELS))
    with jax.log_compiles():
        found, labels = collate((images[:4], LABELS[:4]))
    assert found.shape == (4, 8, 10, 3)
    np.testing.assert_array_equal(labels, LABELS[:4])
    assert collate._jitted._cache_size() == 1
    assert "Compiling" not in caplog.text


def test_a_partial_batch_of_a_policy():
    """The same for the path that spreads over the cores."""
    collate = augment.Collate(POLICY, full=True)
    collate(images_of(7))
    before = _execute._cache_size()
    found = collate(images_of(3))
    assert _execute._cache_size() == before
    assert found.images.shape == (3, 8, 10, 3)
    assert (found.visible.shape, found.labels, found.mix_ratio) == ((3,), None, None)


def test_mixing_keeps_labels_in_a_partial_batch():
    """Row 0 is mixed with the last row that is there, however the batch was filled up."""
    images = np.broadcast_to(np.asarray([10, 20, 250], np.uint8)[:, None, None, None], (3, 4, 4, 1))
    found = augment.Collate(augment.mixup(), batch_size=8, full=True)((images, np.arange(3)))
    levels, mix = np.asarray(images[:, 0, 0, 0], float), np.asarray(found.mix_ratio, float)
    expected = mix * levels + (1 - mix) * np.roll(levels, 1)
    np.testing.assert_allclose(np.asarray(found.images)[:, 0, 0, 0], expected, atol=0.51)


def test_label_maps_move():
    maps = np.broadcast_to(np.arange(10), (6, 8, 10))
    images = np.broadcast_to(maps[..., None], (6, 8, 10, 1)).astype(np.uint8)
    found, labels = augment.Collate(augment.flip(), batch_size=8)((images, maps))
    np.testing.assert_array_equal(labels, found[..., 0])
    assert len(np.unique(labels, axis=0)) == 2


def test_progress_reaches_the_transforms():
    """Mixup stops in its closing phase, without a new compilation."""
    collate = augment.Collate(augment.mixup(closing=0.1), full=True)
    assert (np.asarray(collate(images_of()).mix_ratio) < 1).all()
    collate.progress = 0.95
    assert (np.asarray(collate(images_of()).mix_ratio) == 1).all()
    assert collate._jitted._cache_size() == 1


class Tensor:
    """What Collate asks of a tensor of torch."""

    __module__ = "torch"

    def __init__(self, array, device="cpu"):
        self.array, self.device = array, device
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, f"torch.{array.dtype}"

    def __len__(self):
        return len(self.array)

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.array

    def to(self, device):
        return Tensor(self.array, device)


def test_tensors_give_tensors(monkeypatch):
    """Of torch, on their device, labels as they were; in a batch and in samples."""
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(from_numpy=Tensor))
    images = images_of().transpose(0, 3, 1, 2)
    expected, _ = augment.Collate(augment.flip(), layout="NCHW")((images, LABELS))
    given = Tensor(LABELS, "cuda:1")
    found, labels = augment.Collate(augment.flip(), layout="NCHW")([Tensor(images, "cuda:1"), given])
    assert (type(found), found.device) == (Tensor, "cuda:1")
    assert labels is given
    np.testing.assert_array_equal(found.array, expected)
    assert found.array.flags.writeable
    samples = [(Tensor(image), int(y)) for image, y in zip(images, LABELS, strict=True)]
    found, labels = augment.Collate(augment.flip(), layout="NCHW")(samples)
    np.testing.assert_array_equal(found.array, expected)
    assert (type(labels), labels.array.tolist()) == (Tensor, LABELS.tolist())


def test_tensors_of_label_maps(monkeypatch):
    """Of 64 bits, as the losses of torch ask for them."""
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(from_numpy=Tensor))
    images = images_of()
    maps = np.arange(images[..., 0].size).reshape(images.shape[:3])
    _, found = augment.Collate(augment.flip(1.0))([Tensor(images), Tensor(maps)])
    assert (type(found), found.dtype) == (Tensor, "torch.int64")
    np.testing.assert_array_equal(found.array, maps[:, :, ::-1])


def test_transforms_from_outside():
    def brighter(key, batch, shared, progress):
        return batch.replace(image=batch.image | 128)

    assert (np.asarray(augment.Collate(brighter)(images_of())) >= 128).all()


def in_a_worker(collate, queue):
    try:
        collate(images_of())
    except UsageError as error:
        queue.put(str(error))


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_worker_is_told_what_to_do():
    """Instead of hanging in JAX; a spawned one cannot be sent to."""
    context = multiprocessing.get_context("fork")
    collate, queue = augment.Collate(augment.flip()), context.SimpleQueue()
    collate(images_of())
    worker = context.Process(target=in_a_worker, args=(collate, queue))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    assert "use augment.Transform in the workers" in queue.get()
    with pytest.raises(UsageError, match="cannot be sent to spawned workers"):
        pickle.dumps(collate)


@pytest.mark.parametrize(
    ("options", "batch", "message"),
    [
        ({"layout": "HWC"}, None, "layout must be one of"),
        ({"seed": -1}, None, "seed must be at least 0"),
        ({"batch_size": 0}, None, "batch_size must be at least 1"),
        ({}, images_of().astype(np.float32) / 255, "PILToTensor instead of ToTensor"),
        ({}, images_of().transpose(0, 3, 1, 2), 'say layout="NCHW"'),
        ({"layout": "NCHW"}, images_of(), 'say layout="NHWC"'),
        ({}, images_of()[0], r"uint8 or float32 \[B H W C\]"),
        ({}, (images_of(), LABELS[:5]), r"6 images, but labels of shape \(5,\)"),
        ({}, (images_of(), LABELS, LABELS), "got 3 arrays"),
        ({}, [(images_of()[0], 1, 2)], r"a sample is \(image, label\)"),
        ({"batch_size": 4}, images_of(), "batch_size is 4, but a batch has 6 rows"),
    ],
)
def test_mistakes(options, batch, message):
    with pytest.raises(UsageError, match=f"^Collate: .*{message}"):
        augment.Collate(augment.flip(), **options)(batch)


def test_what_cannot_be_collated():
    with pytest.raises(UsageError, match="set full=True"):
        augment.Collate(augment.cutmix())
    with pytest.raises(UsageError, match="a transform is what a function such as"):
        augment.Collate("randaugment")
