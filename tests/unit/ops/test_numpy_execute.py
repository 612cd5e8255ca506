"""NumPy alone gives the pixels of the exact form under JAX, also in a process that was forked after JAX was used."""

import multiprocessing
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.op_runner import NAMES, drawn, run, settings, share_of, through, value_of
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.datasets import load_sample_images

from jaxaug import ops, policies
from jaxaug.core.errors import UsageError
from jaxaug.ops import numpy_uint8, uint8
from jaxaug.ops.fixed_point import fixed_point_of
from jaxaug.ops.records import Sample
from jaxaug.ops.registry import OPS

COUNT = 12
VALUED = [name for name in NAMES if OPS[name].neutral is not None]

# No share so small that XLA, which takes subnormal numbers for 0, sees another value.
SHARES = st.integers(0, 4096).map(lambda i: i / 4096)


def images_of(channels=3):
    """Two real photos, noise, few levels: 30 x 47."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 47, 3))
    photos = [photo[100:160:2, 200:294:2] for photo in load_sample_images().images]
    return np.stack([*photos, noise, 90 + noise % 5]).astype(np.uint8)[..., :channels]


def cases(op, seed):
    rng = np.random.default_rng(seed)
    shares = np.concatenate([[0.0, 1.0], rng.random(COUNT - 2)])
    values = np.asarray([value_of(op, share) for share in shares])
    return np.round(values) if op == "RandCrop" else values, rng.random((COUNT, 4)).astype(np.float32)


@pytest.mark.parametrize("channels", [3, 1])
def test_every_op_at_many_values(channels):
    """All ops, values known before compiling, chance of their own: no pixel and no label differs."""
    images, names, values, random, fixed = images_of(channels), [], [], [], []
    for seed, op in enumerate(NAMES):
        some, chance = cases(op, seed)
        names += [op] * COUNT
        values, random = [*values, *some], [*random, *chance]
        known = fixed_point_of(OPS[op], some, 30, 47) if OPS[op].of_value_alone else np.zeros((COUNT, 6), np.int32)
        fixed += list(known)
    image = images[np.arange(len(names)) % len(images)]
    label = np.random.default_rng(1).integers(0, 99, image.shape[:3]).astype(np.int32)
    draw = drawn(names, np.asarray(values), np.stack(random), np.stack(fixed)[:, None])
    planes = Sample(jnp.asarray(image.transpose(0, 3, 1, 2)), jnp.asarray(label))
    how = settings("map")
    under_jax = jax.device_get(run(how, draw, planes))
    shown = np.asarray(share_of(how, draw, NAMES, (channels, 30, 47)))
    differ = []
    for i, name in enumerate(names):
        one = (name, values[i], random[i])
        found = ops.apply_numpy([one], image[i], label[i], cover=how.cover)
        expected = under_jax.image[i].transpose(1, 2, 0)
        if OPS[name].kind == "crop_resize":  # sums of weights in another order: one level, now and then
            far = np.abs(found.image.astype(int) - expected)
            assert far.max() <= 1
            differ.append((far > 0).mean())
        else:
            np.testing.assert_array_equal(found.image, expected, err_msg=str(one))
        np.testing.assert_array_equal(found.label, under_jax.label[i], err_msg=str(one))
        np.testing.assert_allclose(found.visibility, shown[i], atol=1e-4, err_msg=str(one))
    assert np.mean(differ) < 1e-3


@pytest.mark.parametrize("name", ["Rotate", "Sharpness", "Posterize", "ScaleX"])
def test_equals_apply_op(name):
    images, values = np.repeat(images_of()[:1], COUNT, axis=0), cases(name, 3)[0]
    expected = np.asarray(ops.apply_op(name, images, values))
    for value, image, wanted in zip(values, images, expected, strict=True):
        np.testing.assert_array_equal(ops.apply_numpy([(name, value)], image).image, wanted)


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(NAMES), SHARES, st.integers(0, 2**32 - 1)), min_size=2, max_size=2),
    st.integers(0, 3),
)
def test_two_layers_of_any_ops(layers, which):
    """Images, and what is visible, after any two ops, of which no one is a resized crop."""
    layers = [("Identity" if name == "RandResizeCrop" else name, *rest) for name, *rest in layers]
    image = images_of()[which]
    values = [np.round(value_of(n, share)) if n == "RandCrop" else value_of(n, share) for n, share, _ in layers]
    random = np.stack([np.random.default_rng(seed).random(4).astype(np.float32) for *_, seed in layers])
    fixed = [
        fixed_point_of(OPS[name], np.asarray([value]), 30, 47)[0] if OPS[name].of_value_alone else np.zeros(6, np.int32)
        for (name, *_), value in zip(layers, values, strict=True)
    ]
    names = [name for name, *_ in layers]
    draw = drawn([names], np.asarray([values]), random[None], np.stack(fixed)[None])
    found = ops.apply_numpy(list(zip(names, values, random, strict=True)), image, cover=settings().cover)
    np.testing.assert_array_equal(found.image, through(image[None], draw)[0])


@pytest.mark.parametrize("function", ["blend", "invert_from", "keep_bits", "pixels", "whole"])
def test_arithmetic_at_hard_values(function):
    """Around whole and half numbers, where one rounding more or less shows."""
    rng = np.random.default_rng(0)
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    hard = (rng.integers(-600, 600, 300) / np.float32(32) / 47).astype(np.float32)
    values = np.concatenate([hard, np.nextafter(hard, np.float32(9)), rng.random(300).astype(np.float32)])
    values = {"invert_from": values * 20, "keep_bits": np.abs(values) * 20}.get(function, values)
    before = {"blend": (levels[:, :1, :1], levels), "invert_from": (levels,), "keep_bits": (levels,)}.get(function, ())
    after = (47,) if function in ("pixels", "whole") else ()
    values = values.astype(np.float32)
    expected = jax.jit(jax.vmap(lambda v: getattr(uint8, function)(*before, v, *after)))(values)
    for value, wanted in zip(values, np.asarray(expected), strict=True):
        found = getattr(numpy_uint8, function)(*before, value, *after)
        np.testing.assert_array_equal(found, wanted, err_msg=str(value))


def test_mistakes():
    image = np.zeros((6, 5, 3), np.uint8)
    for one, before, cover, message in (
        (("Rotat", 3.0), image, (0.0,), "did you mean 'Rotate'"),
        (("Rotate", 3.0), image.astype(np.float32), (0.0,), r"must be uint8 \[H W C\], got float32"),
        (("Rotate", 3.0), image[0], (0.0,), r"must be uint8 \[H W C\]"),
        (("Color", 1.0), image[..., :2], (0.0,), "1, 3 or 4 channels, got 2"),
        (("CutoutAbs", 1.0), image[..., :2], (1.0, 2.0, 3.0), "3 numbers, the images 2 channels"),
    ):
        with pytest.raises(UsageError, match=message):
            ops.apply_numpy([one], before, cover=cover)


def test_label_maps():
    """One that -1 does not fit into becomes one that it does; one of another shape or of floats is refused."""
    image, label = np.zeros((6, 5, 3), np.uint8), np.full((6, 5), 3, np.uint8)
    found = ops.apply_numpy([("TranslateX", 0.4)], image, label).label
    assert found.dtype == np.int32
    assert set(np.unique(found)) == {-1, 3}
    for wrong in (label[:4], np.zeros((8, 10), np.int32), label.astype(np.float32)):
        with pytest.raises(UsageError, match=r"label must be whole numbers \[6, 5\] as the image"):
            ops.apply_numpy([("TranslateX", 0.4)], image, wrong)


def test_every_op_of_a_policy_is_checked():
    """Not only those that happen to be drawn."""
    image = np.zeros((6, 5, 2), np.uint8)
    policy = policies.make_policy([[[("Identity", 0, 1.0), ("Color", 0, 1e-9)]]])
    with pytest.raises(UsageError, match="1, 3 or 4 channels, got 2"):
        policies.apply_numpy(policy, np.random.default_rng(0), image)


def in_worker(queue, policy, image):
    queue.put(policies.apply_numpy(policy, np.random.default_rng(0), image))


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_a_forked_worker_finishes():
    """Forked after JAX was used, as the workers of data loaders are; the same pixels as here."""
    jnp.sum(jnp.ones(1000)).block_until_ready()
    policy, image = policies.deepaa("cifar_1"), images_of()[0]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=in_worker, args=(queue, policy, image), daemon=True)
    worker.start()
    found, visible = queue.get(timeout=60)
    worker.join(60)
    assert worker.exitcode == 0
    expected, share = policies.apply_numpy(policy, np.random.default_rng(0), image)
    np.testing.assert_array_equal(found, expected)
    assert visible == share


def test_without_jax():
    """A process that only applies ops imports no JAX."""
    code = (
        "import sys, numpy as np; from jaxaug import ops; image = np.zeros((4, 4, 3), np.uint8); "
        "ops.apply_numpy([(name, op.neutral or 0.0) for name, op in ops.registry.OPS.items()], image); "
        "sys.exit(sum(name in sys.modules for name in ('jax', 'flax')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
