"""Robustness: what the protocols do to images, and how they are chosen."""

import numpy as np
import pytest
from helpers.one_pixel_classifier import images_of, perturbed, small

from jaxaug import robustness
from jaxaug.core import registry
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import defaults_of, list_names, options_of, register
from jaxaug.robustness import Level, Protocol, corruptions, occlusion, translation


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((16, 16, 1), "uint8"), ((16, 12, 3), "uint8"), ((19, 17, 4), "uint8"), ((17, 16, 3), "float32")],
)
def test_the_hidden_share_is_what_it_says(shape, dtype):
    protocol = occlusion(small(shape=shape), fill="black")
    image = np.full((40, *shape), 200, dtype)
    assert protocol.levels[0].severity == 0
    for level, share in zip(protocol.levels, defaults_of(occlusion)["shares"], strict=True):
        assert level.severity == pytest.approx(share, abs=0.06)
        found = perturbed(protocol, image, level.strength)
        assert (found.shape, found.dtype) == (image.shape, dtype)
        hidden = found[..., 0] == 0
        np.testing.assert_array_equal(found, np.where(hidden[..., None], 0, image))
        assert (hidden.sum(axis=(1, 2)) == round(level.severity * shape[0] * shape[1])).all()
        # One rectangle: every row that is touched is touched in the same columns.
        for one in hidden:
            np.testing.assert_array_equal(one, one.any(axis=1)[:, None] & one.any(axis=0)[None])


def test_shares_that_make_the_same_patch_are_one_level():
    levels = occlusion(small(), shares=(0.0, 0.2, 0.26, 1.0)).levels
    assert [level.severity for level in levels] == [0, 0.25, 1]


def test_places_are_uniform():
    """Each of the 25 corners of a 4 x 4 patch in 8 x 8: 5000 rows, 200 expected of each, within 5 deviations."""
    protocol = occlusion(small(), fill="black")
    hidden = perturbed(protocol, np.full((5000, 8, 8, 1), 200, np.uint8), [4, 4])[..., 0] == 0
    corner = hidden.any(axis=2).argmax(axis=1) * 5 + hidden.any(axis=1).argmax(axis=1)
    assert np.abs(np.bincount(corner, minlength=25) - 200).max() < 5 * np.sqrt(200)


def test_fills():
    built = small(shape=(8, 8, 3))
    image = images_of(4, (8, 8, 3))[0]
    everything = {fill: perturbed(occlusion(built, fill=fill), image, [8, 8]) for fill in ("mean", "noise")}
    color = np.round(255 * np.array(built.mean)).astype(np.uint8)
    np.testing.assert_array_equal(everything["mean"], np.broadcast_to(color, image.shape))
    assert everything["noise"].dtype == np.uint8
    assert everything["noise"].std() == pytest.approx(255 / np.sqrt(12), rel=0.1)
    with pytest.raises(UsageError, match="did you mean 'black'"):
        occlusion(built, fill="blak")
    with pytest.raises(UsageError, match=r"must lie in 0\.\.1"):
        occlusion(built, shares=(0.1, 30))
    with pytest.raises(UsageError, match=r"must lie in 0\.\.1"):
        translation(built, reaches=(-0.1,))


@pytest.mark.parametrize(("shape", "dtype"), [((9, 7, 4), "uint8"), ((7, 9, 1), "float32")])
def test_translation_of_other_shapes(shape, dtype):
    """Odd sides, any channels, one row; what leaves the image is gone; the furthest shift is a share of each side."""
    protocol = translation(small(shape=shape), fill="black", reaches=(0.0, 0.5))
    most = protocol.levels[1].strength
    np.testing.assert_array_equal(most, np.floor(0.5 * np.array(shape[:2]) + 0.5))
    image = np.random.default_rng(0).integers(1, 256, (1, *shape)).astype(dtype)
    after = perturbed(protocol, image, most)
    assert (after.shape, after.dtype) == (image.shape, dtype)
    canvas = np.pad(image[0], ((most[0], most[0]), (most[1], most[1]), (0, 0)))
    places = [(y, x) for y in range(2 * most[0] + 1) for x in range(2 * most[1] + 1)]
    assert any((canvas[y : y + shape[0], x : x + shape[1]] == after[0]).all() for y, x in places)


def test_translation():
    """Each image is the old one moved by whole pixels, up to n each way, the rest black; all the moves occur."""
    protocol = translation(small(), fill="black")
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


def test_protocols_are_chosen_by_slots():
    """In order, each with its options; those that read published files look where the data sets are."""
    slots = ("translation", {"name": "occlusion", "shares": (0.0, 0.25), "fill": "black"})
    found = robustness.create(slots, small())
    assert list(found) == ["translation", "occlusion"]
    assert len(found["translation"].levels) == 4
    assert [level.severity for level in found["occlusion"].levels] == [0, 0.25]


def test_published_files_are_looked_for_where_data_sets_are(tmp_path):
    built = small("cifar10")
    for slot, directory, looked in (
        ("corruptions", str(tmp_path / "a"), "a"),
        ({"name": "corruptions", "directory": ""}, str(tmp_path / "a"), "a"),
        ({"name": "corruptions", "directory": str(tmp_path / "b")}, str(tmp_path / "a"), "b"),
    ):
        with pytest.raises(UsageError, match="corruptions: CIFAR-10-C is not on this machine") as caught:
            robustness.create([slot], built, directory=directory)
        assert str(tmp_path / looked / "CIFAR-10-C") in str(caught.value)
    with pytest.raises(UsageError, match="files are published for cifar10 and cifar100, not for 'small'"):
        corruptions(small())


def test_refusals(monkeypatch):
    monkeypatch.setitem(registry._TABLES, "robustness", dict(registry._TABLES["robustness"]))

    def of(metric, severity):
        return lambda data: Protocol("axis", metric, (Level("line", severity),))

    for name, made in (("unnamed", of("share", 1)), ("twice", of("occluded_error", 1)), ("calm", of("calm_error", 0))):
        register("robustness", name)(made)
    for slots, message in (
        (("occlusion", {"name": "occlusion", "seed": 1}), "occlusion: is asked for twice"),
        (("unnamed",), "unnamed: its metric needs a name of its own, ending in '_error'"),
        (("occlusion", "twice"), "twice: its metric needs a name of its own"),
        (("calm",), "calm: no level has a severity above 0"),
        (("oclusion",), "unknown robustness 'oclusion': did you mean 'occlusion'"),
        (
            ({"name": "occlusion", "share": 1},),
            "option 'share' of robustness 'occlusion': did you mean 'shares'",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            robustness.create(slots, small())


def test_the_face():
    assert dir(robustness) == sorted(robustness.__all__)
    assert list_names("robustness") == ["corruptions", "imagenet_c", "imagenet_v2", "occlusion", "translation"]
    for make in (corruptions, robustness.imagenet_c, robustness.imagenet_v2, occlusion, translation):
        assert robustness.__dict__[make.__name__] is make
        assert [option.name for option in options_of(make) if not option.meaning] == []
