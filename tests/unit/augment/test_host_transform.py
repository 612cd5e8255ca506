"""Transform: images of every type, and random numbers that differ between calls, workers and epochs."""

import multiprocessing
import pickle
import random
import sys
import types

import jax
import numpy as np
import pytest
from PIL import Image

from jaxaug import augment, policies
from jaxaug.core.errors import UsageError
from jaxaug.policies.policy import make_policy

# Where the square lies says which random numbers were drawn.
POLICY = make_policy([[[("RandCutout", 0.1, 1.0)]]])
TURN = make_policy([[[("Rotate", 0.5, 1.0)]]])


def image_of(channels=3):
    return np.random.default_rng(0).integers(1, 256, (24, 20, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_keep_their_type(channels):
    """PIL gives PIL, arrays arrays, gray ones with and without an axis; all of them the same pixels."""
    pixels = image_of(channels)
    expected = augment.Transform(POLICY, seed=5)(pixels)
    assert (expected.shape, expected.dtype) == (pixels.shape, np.uint8)
    assert (expected != pixels).any()
    flat = pixels[..., 0] if channels == 1 else pixels
    found = augment.Transform(POLICY, seed=5)(Image.fromarray(flat))
    assert isinstance(found, Image.Image)
    assert found.mode == ("L" if channels == 1 else "RGB")
    np.testing.assert_array_equal(found, expected.reshape(flat.shape))
    np.testing.assert_array_equal(augment.Transform(POLICY, seed=5)(flat), expected.reshape(flat.shape))


def test_same_pixels_as_on_the_device():
    """Of a policy without chance, level for level."""
    found, _ = augment.apply_policy(0, image_of()[None], TURN)
    np.testing.assert_array_equal(augment.Transform(TURN)(image_of()), found[0])


def test_visible_and_a_generator_of_the_loader():
    transform = augment.Transform(POLICY, visible=True)
    image, visible = transform(image_of(), rng=np.random.default_rng(3))
    expected, share = policies.apply_numpy(POLICY, np.random.default_rng(3), image_of())
    np.testing.assert_array_equal(image, expected)
    assert visible == share < 1


def test_learned_policies_come_off_the_device():
    learned = policies.learned_policy(TURN, policies.initial_offsets(TURN))
    transform = augment.Transform(learned)
    assert not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(transform.policy))
    transform(image_of())


def drawn(transform, count=3):
    return [transform(image_of()).tobytes() for _ in range(count)]


def test_calls_and_seeds():
    """Every call another draw, the same ones for the same seed; a copy that was sent begins anew."""
    first = drawn(augment.Transform(POLICY, seed=1), 8)
    assert len(set(first)) > 4
    again = augment.Transform(POLICY, seed=1)
    again(image_of())
    assert drawn(again, 7) == first[1:]
    assert drawn(pickle.loads(pickle.dumps(again)), 8) == first
    assert drawn(augment.Transform(POLICY, seed=2), 8) != first


def in_a_worker(transform, queue, seed):
    if seed is not None:
        random.seed(seed)
    queue.put(drawn(transform))


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:.*multi-threaded:DeprecationWarning")
def test_forked_workers():
    """They do not hang though JAX was used before, and draw other numbers each, and others in the next epoch."""
    jax.random.key(0).block_until_ready()
    context = multiprocessing.get_context("fork")
    transform, queue = augment.Transform(POLICY, seed=1), context.SimpleQueue()
    found = [drawn(transform)]
    for seed in (None, None, None, 7, 7):
        worker = context.Process(target=in_a_worker, args=(transform, queue, seed))
        worker.start()
        found.append(queue.get())
        worker.join(60)
        assert worker.exitcode == 0
    assert len({draws[0] + draws[1] + draws[2] for draws in found}) == 5
    assert found[-1] == found[-2]  # what a loader seeds a worker with is all that counts


def test_workers_of_torch(monkeypatch):
    """The seed that torch gives each worker of each epoch counts, whatever `random` says."""
    transform = augment.Transform(POLICY, seed=1)
    transform._home = None  # as in a worker
    found = {}
    for seed in (1, 2, 1):
        data = types.SimpleNamespace(get_worker_info=lambda seed=seed: types.SimpleNamespace(seed=seed))
        monkeypatch.setitem(sys.modules, "torch.utils.data", data)
        transform._streams.clear()
        draws = drawn(transform)
        assert found.setdefault(seed, draws) == draws
    assert found[1] != found[2]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.fromarray(image_of()).convert("RGBA"), 'use image.convert\\("RGB"\\)'),
        (image_of().astype(np.float32), "put it before what makes tensors"),
        (image_of()[None], "uint8 \\[H W C\\]"),
    ],
)
def test_mistakes(image, message):
    with pytest.raises(UsageError, match=f"^Transform: .*{message}"):
        augment.Transform(POLICY)(image)


def test_what_is_no_policy():
    with pytest.raises(UsageError, match=r"use policies.get\('randaugment'\)"):
        augment.Transform("randaugment")
    with pytest.raises(UsageError, match="seed must be at least 0"):
        augment.Transform(POLICY, seed=-1)
    assert "RandCutout" in repr(augment.Transform(POLICY))
