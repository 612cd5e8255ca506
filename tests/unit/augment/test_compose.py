"""Pipelines: what each transform may do to a batch, and that they run in their order and place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import augment
from jaxaug.augment import basic, build_pipeline
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate, list_names, resolve
from jaxaug.core.sharding import make_mesh
from jaxaug.core.types import Batch, Progress
from jaxaug.ops import batched
from jaxaug.policies.policy import make_policy

HALF = Progress(jnp.asarray(0.5), jnp.asarray(0.5))
# A policy rounds to uint8 by default and has a suite of its own.
# One of them gives images of another size by default: test_scale_and_crop.py.
TRANSFORMS = [name for name in list_names("augment") if name not in ("policy", "random_scale_and_crop")]
DIFFERENTIABLE = ("affine",)  # these give float32 whatever they get


def batch_of(rows=64, height=9, width=8, dtype=np.uint8):
    image = np.random.default_rng(0).integers(1, 256, (rows, height, width, 3)).astype(dtype)
    return Batch(jnp.asarray(image), jnp.arange(rows) % 5, jnp.arange(rows))


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_transform(name, dtype):
    """Shape, labels and type kept (some give float32); the same for the same key; each image has its own draw."""
    part, batch = jax.jit(resolve("augment", name)()), batch_of(dtype=dtype)
    one, again = part(jax.random.key(1), batch, {}, HALF), part(jax.random.key(1), batch, {}, HALF)
    assert one.image.dtype == (np.float32 if name in DIFFERENTIABLE else batch.image.dtype)
    assert one.image.shape == batch.image.shape
    np.testing.assert_array_equal(one.image, again.image)
    np.testing.assert_array_equal(one.label, batch.label)
    other = part(jax.random.key(2), batch, {}, HALF)
    assert (np.asarray(one.image) != np.asarray(other.image)).any(axis=(1, 2, 3)).mean() > 0.15


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_crop_windows(mode):
    batch = batch_of(rows=49)
    top, left = (jnp.asarray(x.ravel()) for x in np.mgrid[:7, :7])
    windows = batched.crop_windows(batch.image, top, left, 3, mode)
    padded = np.pad(np.asarray(batch.image), ((0, 0), (3, 3), (3, 3), (0, 0)), mode=mode)
    for i in range(49):
        np.testing.assert_array_equal(windows[i], padded[i, top[i] : top[i] + 9, left[i] : left[i] + 8])


def test_pad_and_crop_is_uniform():
    """Each of the (2p + 1)^2 windows is about equally likely: chi-squared over 81 cells."""
    corner = np.zeros((9, 9, 1), np.uint8)
    corner[4, 4] = 1
    rows = 8100
    batch = Batch(jnp.broadcast_to(corner, (rows, 9, 9, 1)), jnp.zeros(rows, jnp.int32), jnp.arange(rows))
    moved = basic.pad_and_crop(4, "zero")(jax.random.key(0), batch, {}, HALF).image
    counts = np.asarray(moved, np.int64).sum(0).ravel()
    assert counts.sum() == rows
    assert ((counts - 100) ** 2 / 100).sum() < 130  # the 99.97 % point of chi-squared with 80 degrees of freedom


def test_flip():
    batch = batch_of(rows=400)
    flipped = np.asarray(basic.flip()(jax.random.key(0), batch, {}, HALF).image)
    image = np.asarray(batch.image)
    mirrored = (flipped == image[:, :, ::-1]).all(axis=(1, 2, 3))
    assert ((flipped == image).all(axis=(1, 2, 3)) ^ mirrored).all()
    assert 150 < mirrored.sum() < 250


def test_cutout():
    """A square of 4, centre anywhere, cut off at the borders."""
    batch = batch_of(rows=2000)
    hidden = np.asarray(basic.cutout(4)(jax.random.key(0), batch, {}, HALF).image) == 0
    area = hidden[..., 0].sum(axis=(1, 2))
    assert (hidden.all(axis=3) == hidden.any(axis=3)).all()
    assert area.max() == 16
    assert area.min() == 4  # a centre in the first row and column leaves 2 x 2
    heights, widths = hidden[..., 0].any(axis=2).sum(1), hidden[..., 0].any(axis=1).sum(1)
    np.testing.assert_array_equal(heights * widths, area)
    # Two holes: the first where the one was, the second independent of it.
    two = np.asarray(basic.cutout(4, holes=2)(jax.random.key(0), batch, {}, HALF).image) == 0
    assert 1.3 < two[..., 0].sum(axis=(1, 2)).mean() / area.mean() < 2


@pytest.mark.parametrize(("closing", "hides"), [(0.4, True), (0.5, False), (2.0, False)])
def test_cutout_of_the_last_epochs(closing, hides):
    """Nothing is hidden from the first closing epoch on; before it as without closing."""
    batch, halfway = batch_of(), HALF.replace(epochs=4)
    part = basic.cutout(4, soften=True, closing=closing)
    expected = basic.cutout(4, soften=True)(jax.random.key(0), batch, {}, HALF) if hides else batch
    found = part(jax.random.key(0), batch, {}, halfway)
    np.testing.assert_array_equal(found.image, expected.image)
    assert bool((found.visibility < 1).any()) == hides


def pipeline_of(train=(), after=(), **options):
    """The pipeline of slots, as a config has them."""
    transforms = ([instantiate("augment", slot) for slot in slots] for slots in (train, after))
    return build_pipeline(*transforms, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3), **options)


ALWAYS = {"name": "flip", "probability": 1.0}


def test_pipeline():
    """Transforms before normalization see 0..255, those after it what the model sees; neither runs in evaluation."""
    batch = batch_of()
    expected = (np.asarray(batch.image) / 255 - [0.5, 0.4, 0.3]) / [0.1, 0.2, 0.3]
    for place in ("train", "after"):
        augment, meta = pipeline_of(**{place: (ALWAYS,)})
        seen = augment(batch, meta, jax.random.key(0), HALF, train=True).image
        np.testing.assert_allclose(seen, expected[:, :, ::-1], atol=1e-5)
        np.testing.assert_allclose(augment(batch, meta, None, None, train=False).image, expected, atol=1e-5)


def test_views():
    """Batch augmentation: every row as often as there are views, each augmented on its own."""
    augment, meta = pipeline_of(("flip",), views=3)
    batch = batch_of()
    seen = augment(batch, meta, jax.random.key(0), HALF, train=True)
    np.testing.assert_array_equal(seen.label, np.tile(batch.label, 3))
    np.testing.assert_array_equal(seen.index, np.tile(batch.index, 3))
    views = np.asarray(seen.image).reshape(3, *batch.image.shape)
    assert len({view.tobytes() for view in views}) == 3
    plain = np.asarray(augment(batch, meta, None, None, train=False).image)
    for view in views:
        for row, original in zip(view, plain, strict=True):
            assert (row == original).all() or (row == original[:, ::-1]).all()


def test_cut_to_the_middle():
    """After `train` and in evaluations, label maps and what is left of the image alike; larger than it is refused."""
    batch = batch_of()
    height, width = batch.image.shape[1:3]
    size = min(height, width) - 2
    top, left = (height - size) // 2, (width - size) // 2
    window = (slice(None), slice(top, top + size), slice(left, left + size))
    augment, meta = pipeline_of((ALWAYS,), size=size)
    whole = pipeline_of((ALWAYS,))[0]
    maps = jnp.broadcast_to(jnp.arange(width), batch.image.shape[:3])
    batch = batch.replace(label=maps, visibility=maps.astype(jnp.float32))
    for train in (True, False):
        seen, full = (one(batch, meta, jax.random.key(0), HALF, train=train) for one in (augment, whole))
        for field in ("image", "label", "visibility"):
            np.testing.assert_array_equal(getattr(seen, field), getattr(full, field)[window])
    with pytest.raises(UsageError, match=f"size is 99, but images have {height} x {width} pixels"):
        pipeline_of(size=99)[0](batch, meta, None, None, train=False)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"train": ("flop",)}, "did you mean 'flip'"),
        ({"after": ("flop",)}, "did you mean 'flip'"),
        ({"train": ({"name": "flip", "probabillity": 1.0},)}, "did you mean 'probability'"),
        ({"train": ({"name": "pad_and_crop", "fill": "mirror"},)}, "^pad_and_crop: fill must be one of"),
        *(
            ({"after": (name,)}, f"^{name}: works on the 0..255 scale: put it into `train`")
            for name in ("policy", "grayscale", "gaussian_blur", "color_jitter", "random_resized_crop", "lighting")
        ),
        ({"after": ({"name": "random_erasing", "fill": "noise"},)}, "^random_erasing: works on the 0..255 scale"),
        ({"train": ({"name": "affine"}, {"name": "affine", "learned": "shared"})}, "there are 2 learned policies"),
        ({"size": -1}, "size must be at least 0"),
        ({"views": 0}, "views must be at least 1"),
    ],
)
def test_mistakes(config, message):
    with pytest.raises(UsageError, match=message):
        pipeline_of(**config)


PIPELINE = augment.compose(
    augment.pad_and_crop(2, soften=True), augment.flip(), mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3)
)


def test_plain_arrays_give_what_the_trainer_gets():
    """The same pixels, labels and shares as `build_pipeline`; a seed is a key."""
    batch = batch_of()
    trainer, _ = build_pipeline(PIPELINE.transforms, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3))
    expected = jax.jit(lambda batch: trainer(batch, {}, jax.random.key(7), HALF, train=True))(batch)
    found = jax.jit(PIPELINE)(7, batch.image, batch.label)
    np.testing.assert_array_equal(found.images, expected.image)
    np.testing.assert_array_equal(found.labels, batch.label)
    np.testing.assert_array_equal(found.visible, expected.visible_fraction)
    assert found.mix_ratio is None
    assert PIPELINE(7, np.asarray(batch.image)).labels is None
    assert PIPELINE.writes == {"image", "label_map", "visibility"}


def test_label_maps_and_policies():
    """Maps move; a policy may stand for its transform; sizes are cut."""
    maps = jnp.broadcast_to(jnp.arange(8), (64, 9, 8))
    found = augment.compose(augment.flip(1.0), size=6)(0, batch_of().image, maps)
    np.testing.assert_array_equal(found.labels, maps[:, :6, 6:0:-1])
    assert found.images.shape == (64, 6, 6, 3)
    nothing = make_policy([[[("Identity", 0.0, 1.0)]]])
    np.testing.assert_array_equal(augment.compose(nothing)(0, batch_of().image).images, batch_of().image)


def test_progress_and_mixing():
    pipeline = jax.jit(augment.compose(augment.mixup(closing=0.1)))
    image = batch_of().image
    assert (np.asarray(pipeline(0, image).mix_ratio) < 1).all()
    np.testing.assert_array_equal(pipeline(0, image, progress=0.95).images, image)


def test_under_every_transformation():
    """vmap over runs, scan over steps, shard_map over devices: what each gives alone; and a gradient."""
    image, key = batch_of(rows=8).image, jax.random.key(3)
    keys = jax.random.split(key, 2)
    alone = jnp.stack([PIPELINE(one, image).images for one in keys])
    np.testing.assert_array_equal(jax.vmap(lambda one: PIPELINE(one, image).images)(keys), alone)
    scanned = jax.lax.scan(lambda carry, one: (carry, PIPELINE(one, image).images), 0, keys)[1]
    np.testing.assert_array_equal(scanned, alone)
    mesh = make_mesh()
    spec = jax.sharding.PartitionSpec("data")
    each = jax.shard_map(
        lambda keys, images: PIPELINE(keys[0], images).images, mesh=mesh, in_specs=(spec, spec), out_specs=spec
    )
    expected = jnp.concatenate(
        [PIPELINE(one, half).images for one, half in zip(keys, jnp.split(image, 2), strict=True)]
    )
    np.testing.assert_array_equal(jax.jit(each)(keys, image), expected)
    slope = jax.grad(lambda x: PIPELINE(key, x).images.sum())(image.astype(jnp.float32))
    assert np.isfinite(slope).all()
    assert np.abs(slope).sum() > 0


def test_a_policy_in_a_shard_map():
    """Both forms of a policy, with a key for each device."""
    policy = make_policy([[[("Rotate", 0.9, 0.5), ("Invert", 0, 0.5)]] * 2], noise=("sign",))
    spec = jax.sharding.PartitionSpec("data")
    image, keys = batch_of(rows=8).image, jax.random.split(jax.random.key(3), 2)
    for exact in (True, False):

        def one(key, images, exact=exact):
            return augment.apply_policy(key, images, policy, exact=exact)

        each = jax.shard_map(
            lambda keys, images, one=one: one(keys[0], images), mesh=make_mesh(), in_specs=(spec, spec), out_specs=spec
        )
        halves = [one(key, half) for key, half in zip(keys, jnp.split(image, 2), strict=True)]
        for found, parts in zip(jax.jit(each)(keys, image), zip(*halves, strict=True), strict=True):
            np.testing.assert_allclose(found, jnp.concatenate(parts), atol=0 if exact else 1e-3)


@pytest.mark.parametrize("scheduler", ["map", "fused"])
@pytest.mark.parametrize("preset", ["randaugment", "deepaa_cifar_1", "affine"])
def test_every_operation_in_a_shard_map(preset, scheduler):
    """Constants in their branches, and what varies over devices, fit together."""
    pipelines = [augment.compose(augment.policy(preset, exact=exact, scheduler=scheduler)) for exact in (True, False)]
    spec = jax.sharding.PartitionSpec("data")

    def both(keys, images):
        return tuple(pipeline(keys[0], images).images for pipeline in pipelines)

    each = jax.shard_map(both, mesh=make_mesh(), in_specs=(spec, spec), out_specs=spec)
    found = jax.eval_shape(each, jax.random.split(jax.random.key(0), 2), batch_of(rows=8).image)
    assert [(x.shape, x.dtype) for x in found] == [((8, 9, 8, 3), np.uint8), ((8, 9, 8, 3), np.float32)]


def test_what_may_follow_mixing():
    """What leaves the shares of the rows as they are."""
    colors = make_policy([[[("Brightness", 0.5, 1.0)]]])
    augment.compose(augment.cutmix(), augment.flip(), augment.policy(colors), augment.pad_and_crop(0))
    augment.compose(augment.mixup(), augment.pad_and_crop(1), size=4)
    augment.compose(mean=(0.5,), std=(0.5,), size=4, after=[augment.cutmix()])


def test_a_learned_transform_in_a_pipeline():
    """`meta` says what it begins with, and takes what was learned."""
    pipeline = augment.compose(augment.affine(learned="shared"))
    image, meta = batch_of(rows=4).image, pipeline.meta
    run = jax.jit(lambda meta: pipeline(0, image, meta=meta).images)
    begun = jax.jit(lambda: pipeline(0, image).images)()
    np.testing.assert_allclose(run(meta), begun, atol=1e-3)
    moved = jax.tree.map(lambda x: x + 3.0, meta)
    assert (np.abs(run(moved) - begun).max(axis=(1, 2, 3)) > 1).any()
    with pytest.raises(UsageError, match="shared of meta lacks policy, which these transforms learn; it has polcy"):
        pipeline(0, image, meta=meta.replace(shared={"polcy": moved.shared["policy"]}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: augment.compose(mean=(0.5,)), "mean and std go together"),
        (lambda: augment.compose(after=[augment.flip()]), "give mean and std"),
        (lambda: augment.compose(size=-1), "size must be at least 0"),
        (lambda: augment.compose(mean=[0], std=[1], after=[augment.grayscale()]), "put it into `train`"),
        (lambda: augment.compose("flip"), "a transform is what a function such as"),
        (lambda: augment.compose(augment.flip), r"gives a transform|call what gives a transform"),
        (lambda: augment.compose(mean=0.5, std=0.5), "mean must have one number per channel, got 0.5"),
        (lambda: augment.compose(mean=(), std=()), "mean must have one number per channel"),
        (lambda: augment.compose(mean=(125,), std=(60,)), "of pixels scaled to 0..1"),
        (lambda: augment.compose(mean=(0.5,), std=(0.0,)), "std, which must be above 0"),
        (lambda: augment.compose(mean=(0.5,), std=(0.5, 0.5)), "mean has 1 numbers, std 2"),
        (
            lambda: augment.compose(mean=(0.5,) * 3, std=(0.5,) * 3)(0, np.zeros((2, 4, 5, 1), np.uint8)),
            "images have 1 channels, mean must have as many numbers",
        ),
        (lambda: augment.compose(augment.affine(), augment.affine()), "there are 2 learned policies"),
        (lambda: augment.compose(augment.cutmix(), augment.pad_and_crop(1)), "pad_and_crop: moves what cutmix"),
        (lambda: augment.compose(augment.cutmix(), augment.random_resized_crop()), "random_resized_crop: moves what"),
        (lambda: augment.compose(augment.cutmix(), augment.policy("randaugment")), "policy: moves what cutmix"),
        (lambda: augment.compose(augment.cutmix(), augment.affine()), "affine: moves what cutmix"),
        (lambda: augment.compose(augment.cutmix(), size=4), "cutmix: its shares would be wrong once the middle is cut"),
    ],
)
def test_what_cannot_be_composed(make, message):
    with pytest.raises(UsageError, match=message):
        make()
