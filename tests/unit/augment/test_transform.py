"""What a transform says of itself, for every one that is registered; and what may stand for one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import augment
from jaxaug.augment.transform import FIELDS, as_transform
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import list_names, options_of, resolve
from jaxaug.core.types import Batch, MetaParams, Progress

HALF = Progress(jnp.asarray(0.5), jnp.asarray(0.5))
NAMES = list_names("augment")
LEVELS = {
    "policy",
    "grayscale",
    "gaussian_blur",
    "color_jitter",
    "random_resized_crop",
    "lighting",
    "random_scale_and_crop",
}
OPTIONS = {"random_scale_and_crop": {"size": (12, 10)}}
SOFTENING = {"soft_crop", "pad_and_crop", "cutout", "random_resized_crop", "random_erasing"}


def changed(transform, label):
    """The fields besides the image that are others afterwards."""
    image = jnp.asarray(np.random.default_rng(0).integers(1, 256, (8, 12, 10, 3)), jnp.uint8)
    batch = Batch(image, label, jnp.arange(8))
    after = jax.jit(lambda batch: transform(jax.random.key(0), batch, {}, HALF))(batch)
    moved = label.ndim == 3 and bool((np.asarray(after.label) != np.asarray(label)).any())
    given = {"visibility": after.visibility is not None, "mix_ratio": after.mix_ratio is not None}
    return {name for name, there in given.items() if there} | ({"label_map"} if moved else set())


@pytest.mark.parametrize("name", NAMES)
def test_facts(name):
    """Name, scale, and the fields that a transform writes, as it does write them."""
    transform = resolve("augment", name)(**OPTIONS.get(name, {}), **({"soften": True} if name in SOFTENING else {}))
    assert transform.name == name
    assert (transform.scale == "levels") == (name in LEVELS)
    assert transform.reads | transform.writes <= FIELDS
    assert "image" in transform.reads & transform.writes
    assert ("visibility" in transform.writes) == (name in SOFTENING)
    if name in SOFTENING:
        assert "visibility" not in resolve("augment", name)(soften=False).writes
    assert ("mix_ratio" in transform.writes) == (name in ("mixup", "cutmix"))
    if name in ("policy", "affine"):  # which take long to compile, and have suites of their own
        return
    assert changed(transform, jnp.zeros(8, jnp.int32)) == transform.writes - {"image", "label_map"}
    if name not in ("mixup", "cutmix", "random_resized_crop"):
        maps = jnp.broadcast_to(jnp.arange(120).reshape(12, 10), (8, 12, 10))
        assert changed(transform, maps) == transform.writes - {"image"}


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_line_of_meaning(name):
    options = options_of(resolve("augment", name))
    assert options
    for option in options:
        assert option.meaning, option.name


def test_public_names():
    """`dir` shows what there is for users, and no modules; a name that is both is the function."""
    assert dir(augment) == sorted(augment.__all__)
    assert set(NAMES) <= set(augment.__all__)
    for name in augment.__all__:
        assert callable(getattr(augment, name)), name


def test_what_may_stand_for_a_transform():
    def darker(key, batch, shared, progress):
        return batch.replace(image=batch.image // 2)

    transform = as_transform(darker)
    assert (transform.name, transform.scale) == ("darker", "any")
    assert as_transform(transform) is transform
    with pytest.raises(UsageError, match="a transform is what a function such as"):
        as_transform("flip")
    with pytest.raises(UsageError, match=r"^mine: scale must be one of"):
        augment.BatchTransform(darker, "mine", "grey")
    with pytest.raises(UsageError, match=r"^mine: reads and writes name fields of a batch, .*'visibility'"):
        augment.BatchTransform(darker, "mine", writes=frozenset({"visibilty"}))


@pytest.mark.parametrize("learned", ["per_row", "shared"])
def test_results_of_a_learned_transform(learned):
    """The offsets of each row, by name; nothing where all rows share them."""
    transform = augment.policy("dada_space", exact=False, learned=learned)
    assert isinstance(transform, augment.LearnedTransform)
    rows = jax.tree.map(lambda x: jnp.broadcast_to(x, (5, *x.shape)), transform.meta.per_example)
    found = transform.results(MetaParams(rows, transform.meta.shared), jnp.zeros(5, jnp.int32), 10)
    if learned == "shared":
        assert found == {}
    else:
        assert {name: x.shape for name, x in found.items()} == {
            "logits": (5, 105, 2, 1),
            "level": (5, 105, 2, 1),
            "mix": (5, 105),
        }


@pytest.mark.parametrize(
    "transform",
    [
        *(augment.pad_and_crop(3, fill) for fill in ("zero", "edge", "reflect")),
        augment.soft_crop(sigma=3.0, soften=False, closing=0),
        augment.random_resized_crop(),
        augment.flip(1.0),
    ],
    ids=["zero", "edge", "reflect", "soft_crop", "random_resized_crop", "flip"],
)
def test_moves_carry_what_is_hidden_along(transform):
    """What an earlier transform hid stays hidden where its pixels are now, and nothing else is, unless asked."""
    shown = np.ones((8, 12, 10), np.float32)
    shown[:, 2:8, 3:8] = 0.0
    image = np.repeat(100 + 100 * shown[..., None], 3, axis=-1)  # 100 where it is hidden, else 200
    batch = Batch(jnp.asarray(image), jnp.zeros(8, jnp.int32), jnp.arange(8), visibility=jnp.asarray(shown))
    after = jax.jit(lambda batch: transform(jax.random.key(1), batch, {}, HALF))(batch)
    level = np.asarray(after.image[..., 0])
    hidden, seen = np.abs(level - 100) < 1, (np.abs(level - 200) < 1) | (np.abs(level) < 1)
    assert 0 < hidden.mean() < 1
    np.testing.assert_allclose(np.asarray(after.visibility)[hidden], 0, atol=0.35)
    np.testing.assert_allclose(np.asarray(after.visibility)[seen], 1, atol=0.35)
    assert np.abs(np.asarray(after.visibility)[hidden]).mean() < 0.02
    assert (np.asarray(after.visibility) != shown).any()
