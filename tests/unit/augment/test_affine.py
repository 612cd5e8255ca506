"""AutoDO's affine augmentation as it was released: maps, images and gradients are those of the golden file."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import GOLDEN

from jaxaug.augment.affine import affine, matrices
from jaxaug.augment.affine import warped as warped_eagerly
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, Progress
from jaxaug.policies import autodo, sampling
from jaxaug.policies.learnable import initial_offsets

golden = functools.lru_cache(lambda: dict(np.load(GOLDEN / "autodo_affine.npz")))
ROWS = np.asarray([5, 6, 0, 1, 2, 3, 4])  # of the released parameters, in the order of `autodo.AFFINE`
LOW, HIGH = np.asarray(list(autodo.AFFINE.values()), np.float32).T
START = np.log(0.2 / 0.8)  # the logit of the probability with which the gates begin
GEOMETRIES = {"k041": "kornia_0.4.1", "k090": "kornia_0.9.0"}
CASES = [(short, word, upscale) for short in GEOMETRIES for word, upscale in (("up4", 4), ("noup", 1))]
HALF = Progress(jnp.asarray(0.5), jnp.asarray(0.5))
warped = jax.jit(warped_eagerly, static_argnums=(2, 3))


def images_of(name):
    return golden()[name].transpose(0, 2, 3, 1)


def close(found, name, tolerance):
    """Within the tolerance times the greatest value of the golden array."""
    expected = golden()[name]
    found = np.asarray(found).transpose(0, 3, 1, 2) if expected.ndim == 4 else np.asarray(found)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(("short", "word", "upscale"), CASES)
def test_maps_and_images(short, word, upscale):
    """Images of -2.8 to 2.8 within 1e-5 of their greatest value; that of no map at all too."""
    values = LOW + (golden()["aug_sampleP"] * golden()["aug_sampleM"])[ROWS].T * (HIGH - LOW)
    maps = matrices(jnp.asarray(values), 16, 16, GEOMETRIES[short])
    np.testing.assert_allclose(maps, golden()[f"aug_{short}_M"][:, :2], rtol=1e-5, atol=1e-5)
    images = jnp.asarray(images_of("aug_images"))
    close(warped(images, maps, GEOMETRIES[short], upscale), f"aug_{short}_{word}", 1e-5)
    if upscale == 4:
        nothing = matrices(jnp.broadcast_to(LOW, values.shape), 16, 16, GEOMETRIES[short])
        close(warped(images, nothing, GEOMETRIES[short], upscale), f"aug_{short}_valid_up4", 1e-5)


def frozen(monkeypatch):
    """The golden file's noise, whatever the key."""
    gumbel = golden()["augst_gumbel"].reshape(7, 4, 2)[ROWS]
    logistic, normal = (gumbel[..., 0] - gumbel[..., 1]).T, golden()["augst_normal"][ROWS].T
    unused = np.zeros((4, 7), np.float32)
    noise = sampling.Randomness(unused[:, 0], unused, unused, unused[..., None], normal=normal, logistic=logistic)
    monkeypatch.setattr(sampling, "sample_randomness", lambda *arguments: noise)


@pytest.mark.parametrize(("short", "word", "upscale"), CASES)
def test_random_path(short, word, upscale, monkeypatch):
    """The part itself: images, and gradients of sum(y R) through the gates, one set for each row and one for all."""
    frozen(monkeypatch)
    part = affine(geometry=GEOMETRIES[short], upscale=upscale)
    zeros = jnp.zeros(4, jnp.int32)
    batch = Batch(jnp.asarray(images_of("aug_images")), zeros, zeros)
    weight = jnp.asarray(images_of("augst_R"))

    @functools.partial(jax.grad, argnums=(0, 1), has_aux=True)
    def total(chance, size):
        own = {"logits": (chance - START)[:, None, :, None], "level": size[:, None, :, None]}
        image = part(jax.random.key(0), batch.replace(per_example={"policy": own}), {}, HALF).image
        return jnp.sum(image * weight), image

    total = jax.jit(total)
    rows = golden()["augst_idx"]
    parameters = [golden()[name] for name in ("augst_paramP", "augst_paramM")]
    for name, columns in (("SEP", rows), ("SHA", np.zeros(4, int))):
        name = f"augst_{short}_{name}_{word}"
        slopes, image = total(*(jnp.asarray(p[ROWS][:, columns].T) for p in parameters))
        close(image, f"{name}_y", 1e-5)
        for slope, end in zip(slopes, ("dP", "dM"), strict=True):
            found = np.zeros_like(golden()[f"{name}_{end}"])
            np.add.at(found, (ROWS[:, None], columns[None]), np.asarray(slope).T)
            close(found, f"{name}_{end}", 1e-4)


def test_where_a_search_begins():
    """Offsets of zero are the released parameters: probability 1/5, magnitude 5 of 10."""
    policy = autodo.affine()
    chance, level = golden()["augst_init_paramP"], golden()["augst_init_paramM"]
    np.testing.assert_allclose(policy.logits[0, :, 0] - policy.logits[0, :, 1], chance[:, 0], rtol=1e-6)
    np.testing.assert_allclose(policy.level[0, :, 0], 1 / (1 + np.exp(-level[:, 0])))
    assert {name: offset.shape for name, offset in initial_offsets(policy).items()} == dict.fromkeys(
        ("logits", "level"), (1, 7, 1)
    )


@pytest.mark.parametrize("upscale", [3, 4])
def test_only_the_pixels_that_are_read(upscale):
    """The same as enlarging, mapping every pixel, and reducing: an odd and an even factor, sides that differ."""
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(0, 255, (3, 6, 9, 2)), jnp.float32)
    maps = matrices(jnp.asarray(LOW + rng.normal(size=(3, 7)) * (HIGH - LOW) / 2, jnp.float32), 6, 9, "")
    large = jax.image.resize(images, (3, 6 * upscale, 9 * upscale, 2), "bilinear")
    expected = jax.image.resize(warped(large, maps, "kornia_0.9.0", 1), images.shape, "bilinear", antialias=False)
    np.testing.assert_allclose(warped(images, maps, "kornia_0.9.0", upscale), expected, atol=2e-3)


def test_a_singular_map_has_derivatives():
    """The released code stops where a normal number makes a factor 0."""

    @jax.jit
    @jax.grad
    def slope(values):
        return jnp.sum(warped_eagerly(IMAGE, matrices(values, 6, 8, "kornia_0.4.1"), "kornia_0.4.1", 4) ** 2)

    for factor in (0.0, 1e-7, -1e-7, -0.4):
        assert np.isfinite(slope(jnp.asarray([[factor, 1.2, 10, 0.1, 0, 0.1, 0]], jnp.float32))).all(), factor


IMAGE = jnp.asarray(np.random.default_rng(1).integers(0, 256, (1, 6, 8, 1)), jnp.uint8)


def test_parts_agree():
    """Without anything to learn, and with one set for each row where none is there: the same."""
    rows = jnp.arange(8)
    batch = Batch(jnp.repeat(IMAGE, 8, axis=0), rows, rows)
    alone, shared, per_row = (affine(word, upscale=1) for word in ("", "shared", "per_row"))
    fixed, own = (
        jax.jit(lambda batch, p=p: p(jax.random.key(3), batch, {}, HALF))(batch).image for p in (alone, per_row)
    )
    assert fixed.dtype == jnp.float32
    assert (np.abs(fixed - batch.image).max((1, 2, 3)) > 1).any()
    np.testing.assert_allclose(own, fixed, atol=2e-3)
    assert not hasattr(alone, "meta")
    assert (list(shared.meta.shared), list(per_row.meta.per_example)) == (["policy"], ["policy"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"geometry": "kornia"}, "geometry must be one of"),
        ({"upscale": 0}, "upscale a whole number"),
        ({"upscale": 1.5}, "upscale a whole number"),
        ({"upscale": 4}, "of kornia's alone"),
        ({"learned": "yes"}, "learned must be one of"),
        ({"probability": 1.5}, r"must be in 0\.\.1"),
        ({"magnitude": -0.1}, r"must be in 0\.\.1"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(UsageError, match=message):
        affine(**options)


def test_label_maps():
    """Refused by the released geometry; taken along by the image's own."""
    batch = Batch(IMAGE, jnp.zeros((1, 6, 8), jnp.int32), jnp.zeros(1, jnp.int32))
    with pytest.raises(UsageError, match="label maps are not supported"):
        affine(geometry="kornia_0.9.0")(jax.random.key(0), batch, {}, HALF)
    moved = jax.eval_shape(lambda: affine()(jax.random.key(0), batch, {}, HALF))
    assert (moved.label.shape, moved.image.dtype) == ((1, 6, 8), jnp.float32)
