"""Robustness: what the protocols do to images, and the exact errors of a classifier of one pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.one_pixel_classifier import PIXEL, classifier, images_of, small
from helpers.settings import tiny_config

from jaxaug.core.errors import UsageError
from jaxaug.robustness import occlusion, translation
from jaxaug.train.evaluator import Evaluator
from jaxaug.train.experiment import build_experiment


@pytest.fixture(scope="module")
def base():
    return build_experiment(tiny_config())


def keys_of(rows, seed=0):
    key = jax.random.key(seed, impl="threefry2x32")
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(rows))


def perturbed(protocol, image, strength, seed=0):
    one = jax.vmap(protocol.perturb, (0, 0, None))
    return np.asarray(one(keys_of(len(image), seed), jnp.asarray(image), jnp.asarray(strength)))


@pytest.mark.parametrize("shape", [(16, 16, 1), (16, 12, 3)])
def test_the_hidden_share_is_what_it_says(shape):
    protocol = occlusion.protocol(small(shape=shape), None, fill="black")
    image = np.full((40, *shape), 200, np.uint8)
    assert protocol.levels[0].severity == 0
    for level, share in zip(protocol.levels, occlusion.SHARES, strict=True):
        assert level.severity == pytest.approx(share, abs=0.06)
        hidden = perturbed(protocol, image, level.strength)[..., 0] == 0
        assert (hidden.sum(axis=(1, 2)) == round(level.severity * shape[0] * shape[1])).all()
        # One rectangle: every row that is touched is touched in the same columns.
        for one in hidden:
            np.testing.assert_array_equal(one, one.any(axis=1)[:, None] & one.any(axis=0)[None])


def test_shares_that_make_the_same_patch_are_one_level():
    levels = occlusion.protocol(small(), None, shares=(0.0, 0.2, 0.26, 1.0)).levels
    assert [level.severity for level in levels] == [0, 0.25, 1]


def test_places_are_uniform():
    """Each of the 25 corners of a 4 x 4 patch in 8 x 8: 5000 rows, 200 expected of each, within 5 deviations."""
    protocol = occlusion.protocol(small(), None, fill="black")
    hidden = perturbed(protocol, np.full((5000, 8, 8, 1), 200, np.uint8), [4, 4])[..., 0] == 0
    corner = hidden.any(axis=2).argmax(axis=1) * 5 + hidden.any(axis=1).argmax(axis=1)
    assert np.abs(np.bincount(corner, minlength=25) - 200).max() < 5 * np.sqrt(200)


def test_fills():
    built = small(shape=(8, 8, 3))
    image = images_of(4, (8, 8, 3))[0]
    everything = {
        fill: perturbed(occlusion.protocol(built, None, fill=fill), image, [8, 8]) for fill in ("mean", "noise")
    }
    colour = np.round(255 * np.array(built.mean)).astype(np.uint8)
    np.testing.assert_array_equal(everything["mean"], np.broadcast_to(colour, image.shape))
    assert everything["noise"].dtype == np.uint8
    assert everything["noise"].std() == pytest.approx(255 / np.sqrt(12), rel=0.1)
    with pytest.raises(UsageError, match="did you mean 'black'"):
        occlusion.protocol(built, None, fill="blak")
    with pytest.raises(UsageError, match=r"must lie in 0\.\.1"):
        occlusion.protocol(built, None, shares=(0.1, 30))
    with pytest.raises(UsageError, match=r"must lie in 0\.\.1"):
        translation.protocol(built, None, reaches=(-0.1,))


def test_translation():
    """Each image is the old one moved by whole pixels, up to n each way, the rest black; all the moves occur."""
    protocol = translation.protocol(small(), None, fill="black")
    assert [level.severity for level in protocol.levels] == [0, 0.125, 0.25, 0.375]
    assert [tuple(level.strength) for level in protocol.levels] == [(n, n) for n in range(4)]
    image = images_of(300)[0]
    np.testing.assert_array_equal(perturbed(protocol, image, [0, 0]), image)
    moves = []
    for before, after in zip(image, perturbed(protocol, image, [2, 2]), strict=True):
        canvas = np.pad(before, ((2, 2), (2, 2), (0, 0)))
        found = [(y, x) for y in range(5) for x in range(5) if (canvas[y : y + 8, x : x + 8] == after).all()]
        assert len(found) == 1
        moves += found
    assert len(set(moves)) == 25


def test_one_pixel_has_the_predictable_error(base):
    """It errs where the patch hides its pixel, and nowhere else; the padding of the last batch counts for nothing."""
    built = small()
    protocol = occlusion.protocol(built, None, fill="black")
    evaluator = Evaluator(classifier(base), built.test, protocol.perturb)
    for level in protocol.levels:
        patched = perturbed(protocol, built.test.image, level.strength)
        expected = np.mean(patched[:, *PIXEL, 0] == 0)
        assert 1 - evaluator(None, level.strength)["top1"] == pytest.approx(expected, abs=1e-6)
        height, width = level.strength
        places = [(y, x) for y in range(9 - height) for x in range(9 - width)]
        covering = sum(y <= PIXEL[0] < y + height and x <= PIXEL[1] < x + width for y, x in places) / len(places)
        assert expected == pytest.approx(covering, abs=0.13)  # 4.5 deviations of 301 draws at most


def test_places_depend_on_the_row_and_the_seed_alone(base):
    """The same figures in any batches and on any devices; others with another seed."""
    built = small()
    protocol = translation.protocol(built, None)
    one = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))

    def figures_of(seed=0, **changes):
        return Evaluator(classifier(base, **changes), built.test, protocol.perturb, seed)(None, np.int32([3, 3]))

    expected = figures_of()
    assert figures_of(eval_batch_size=512) == pytest.approx(expected, rel=1e-5)
    assert figures_of(mesh=one, eval_batch_size=7) == pytest.approx(expected, rel=1e-5)
    assert figures_of(seed=1)["nll"] != pytest.approx(expected["nll"], rel=1e-4)
