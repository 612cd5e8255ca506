"""The public face of ops: one function for each, on batches and single images, under every transformation of JAX."""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from jaxaug import ops
from jaxaug.core.errors import UsageError
from jaxaug.ops import functional
from jaxaug.ops.registry import OPS

NOT_OPS = {
    *("Op", "NumpyOp", "NumpySample", "apply_numpy", "apply_op", "find_op", "list_ops"),
    *("geometric_op", "color_op", "erase_op", "crop_resize_op", "warp_op"),
}
FUNCTIONS = [name for name in dir(ops) if name not in NOT_OPS]


def images_of(count=4, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, 12, 15, channels)).astype(np.uint8)


def snake(name):
    return re.sub(r"(?<!^)([A-Z]|(?<=[a-z])\d+)", r"_\1", name).lower()


def test_every_op_has_a_function():
    """Named as it is, with the value second, typed; `dir` shows these and what makes ops."""
    assert set(FUNCTIONS) == {snake(name) for name in OPS} - {"identity"}
    assert set(dir(ops)) == set(ops.__all__) == {*FUNCTIONS, *NOT_OPS}
    for name, op in OPS.items():
        if name == "Identity":
            continue
        parameters = inspect.signature(getattr(ops, snake(name))).parameters
        positional = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert len(positional) == 1 + (op.neutral is not None), name
        assert parameters["exact"].default is True
        assert all(p.annotation is not p.empty for p in parameters.values())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_hands_on_what_it_is_given(name, monkeypatch):
    """To the op of its name, with the value where it has one, the word about exactness and the key."""
    function, value, key = getattr(ops, name), object(), object()
    told = []
    monkeypatch.setattr(functional, "apply_op", lambda *arguments, **named: told.append((arguments, named)) or "done")
    op = next(op for op in OPS if snake(op) == name)
    values = () if OPS[op].neutral is None else (value,)
    chance = {"key": key} if "key" in inspect.signature(function).parameters else {}
    assert function("images", *values, exact=False, **chance) == "done"
    assert told == [((op, "images", *values), {"exact": False, **chance})]


@pytest.mark.parametrize("name", ["rotate", "posterize", "flip", "rand_crop"])
def test_a_function_is_its_op(name):
    """A batch with one value for all or for each, and one image alone."""
    images = images_of()
    op = next(op for op in OPS if snake(op) == name)
    values = None if OPS[op].neutral is None else np.asarray([4.0, 5.0, 6.0, 7.0])
    arguments = [] if values is None else [values]
    found = getattr(ops, name)(images, *arguments)
    np.testing.assert_array_equal(found, ops.apply_op(op, images, values))
    one = getattr(ops, name)(images[1], *(v[1] for v in arguments))
    assert one.shape == images[1].shape
    np.testing.assert_array_equal(one, found[1])
    alike = getattr(ops, name)(images[:2], *(float(v[0]) for v in arguments))
    np.testing.assert_array_equal(alike[0], found[0])


def test_chance_of_its_own():
    """Without a key the middle of it; with one, every image its own draw, the same for the same key."""
    images = np.repeat(images_of(1), 64, axis=0)
    flipped = np.asarray(ops.rand_flip(images, key=jax.random.key(0)))
    mirrored = (flipped == images[:, :, ::-1]).all((1, 2, 3))
    assert 20 < mirrored.sum() < 44
    np.testing.assert_array_equal(flipped[~mirrored], images[~mirrored])
    np.testing.assert_array_equal(ops.rand_flip(images), images)
    holes = np.asarray(ops.cutout_abs(images + 0 * images, 5, key=jax.random.key(1)))
    assert len({image.tobytes() for image in holes}) > 30
    np.testing.assert_array_equal(holes, ops.cutout_abs(images, 5, key=jax.random.key(1)))


def test_under_transformations():
    """jit, vmap over single images, scan and shard_map give what the function gives; grad reaches value and image."""
    images, degrees = images_of(), jnp.asarray([3.0, -20.0, 11.0, 0.0])
    expected = ops.rotate(images, degrees)
    np.testing.assert_array_equal(jax.jit(ops.rotate)(images, degrees), expected)
    np.testing.assert_array_equal(jax.vmap(ops.rotate)(jnp.asarray(images), degrees), expected)
    scanned = jax.lax.scan(lambda _, pair: (None, ops.rotate(*pair)), None, (jnp.asarray(images), degrees))[1]
    np.testing.assert_array_equal(scanned, expected)
    mesh, rows = Mesh(np.asarray(jax.devices()[:2]), ("rows",)), PartitionSpec("rows")
    for name, arguments in (("rotate", (degrees,)), ("brightness", (degrees,)), ("equalize", ()), ("cutout", (0.2,))):
        op = getattr(ops, name)
        specs = (rows, *(rows if jnp.ndim(x) else PartitionSpec() for x in arguments))
        sharded = jax.jit(jax.shard_map(op, mesh=mesh, in_specs=specs, out_specs=rows))
        np.testing.assert_array_equal(sharded(images, *arguments), op(images, *map(jnp.asarray, arguments)))

    def total(images, degrees):
        return jnp.sum(ops.rotate(images, degrees, exact=False) ** 2)

    of_images, of_degrees = jax.grad(total, argnums=(0, 1))(images.astype(np.float32), degrees)
    assert of_images.shape == images.shape
    assert np.abs(of_degrees).min() > 0


def test_own_op():
    """A decorator is enough: by name, with its range and facts; a second one of that name elsewhere is refused."""

    @ops.color_op("Halve", 0.0, 1.0, unit="share", neutral=0.0, source="this test")
    def halve(backend, image, value):
        return backend.blend(image, image // 2 if image.dtype == backend.xp.uint8 else image / 2, value)

    try:
        image = images_of(1)
        assert ops.find_op("Halve").unit == "share"
        assert "Halve" in ops.list_ops("color")
        np.testing.assert_array_equal(ops.apply_op("Halve", image, 1.0), image // 2)
        np.testing.assert_array_equal(ops.apply_numpy([("Halve", 1.0)], image[0]).image, image[0] // 2)

        # Written anew, as in a notebook, it is compiled anew.
        @ops.color_op("Halve", source="this test")
        def nothing(backend, image, value):
            return image

        np.testing.assert_array_equal(ops.apply_op("Halve", image), image)
    finally:
        del OPS["Halve"]
    with pytest.raises(UsageError, match=r"'Rotate' exists already, in jaxaug.ops.definitions.geometric"):
        ops.geometric_op("Rotate")(lambda *arguments: (0,) * 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.apply_op("Rotat", images_of(), 3.0), "did you mean 'Rotate'"),
        (lambda: ops.apply_op("Rotate", images_of()), "needs a value: degrees"),
        (lambda: ops.rotate(images_of(), np.zeros(3)), r"shape \(4,\), or be one, got \(3,\)"),
        (lambda: ops.rotate(images_of().astype(np.float32), 3.0), r"must be uint8 \[B H W C\] or \[H W C\]"),
        (lambda: ops.rotate(images_of()[0, 0], 3.0, exact=False), "uint8 or float32"),
        (lambda: ops.contrast(images_of(channels=2), 1.5), "1, 3 or 4 channels, got 2"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(UsageError, match=message):
        call()
