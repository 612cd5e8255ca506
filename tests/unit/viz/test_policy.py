"""Figures of policies and batches: what is drawn is what the policy says, and nothing lies on anything else."""

import numpy as np
import pytest
from helpers.drawn_figures import overlapping, texts_of
from PIL import Image

from jaxaug.core.errors import UsageError
from jaxaug.policies import presets
from jaxaug.policies.policy import make_policy
from jaxaug.viz.policy import distribution, plot_batch, plot_policy

SHAPES = {  # layers, ops, levels
    "randaugment": (2, 14, 21),
    "uniformaugment": (2, 15, 11),
    "autoaugment_cifar10": (2, 14, 10),
    "dada_cifar10": (2, 16, 11),
    "trivialaugment_wide": (1, 14, 31),
    "deepaa_cifar_2": (6, 18, 13),
    "affine": (7, 8, 11),
}


@pytest.mark.parametrize(("name", "shape"), SHAPES.items())
def test_distribution_of_presets(name, shape):
    names, operation, level = distribution(presets.get(name))
    assert (*operation.shape, level.shape[-1]) == shape
    assert len(names) == shape[1]
    np.testing.assert_allclose(operation.sum(axis=1), 1.0)
    np.testing.assert_allclose(level.sum(axis=2)[operation > 0], 1.0)
    assert not level[operation == 0].any()


def test_distribution_by_hand():
    """Two sub-policies with shares 3 : 1, levels on tenths."""
    first = [[("Rotate", 0.2, 0.5), ("Rotate", 0.5, 0.3), ("Invert", 0.0, 0.2)]]
    names, operation, level = distribution(
        make_policy([first, [[("Rotate", 0.2, 0.4), ("Cutout", 1.0, 0.6)]]], shares=[0.75, 0.25])
    )
    assert names == ("Identity", "Rotate", "Invert", "Cutout")
    np.testing.assert_allclose(operation, [[0.0, 0.7, 0.15, 0.15]])
    assert level.shape == (1, 4, 11)
    expected = np.zeros(11)
    expected[[2, 5]] = np.array([0.475, 0.225]) / 0.7
    np.testing.assert_allclose(level[0, 1], expected)
    assert level[0, 3, 10] == pytest.approx(1.0)


def test_distribution_under_noise_and_by_row():
    """Uniform noise spreads a level over what lies below it; a policy per training row is averaged."""
    one = make_policy([[[("Rotate", 0.5, 1.0)]]], noise=("uniform",))
    level = distribution(one)[2][0, 1]
    np.testing.assert_allclose(level, [*[2 / 11] * 5, 1 / 11, *[0.0] * 5])
    by_row = one.replace(
        mix=np.zeros((2, 1)),
        logits=np.log(np.array([[0.8, 0.2], [0.4, 0.6]]))[:, None, None],
        level=np.zeros((2, 1, 1, 2)),
        op=np.array([[[0, 1]]], np.int32),
        noise=(),
    )
    np.testing.assert_allclose(distribution(by_row)[1], [[0.6, 0.4]])


@pytest.mark.parametrize("name", ["autoaugment_cifar10", "trivialaugment_wide", "deepaa_cifar_2"])
def test_policy_figure(name, tmp_path):
    layers, ops, _ = SHAPES[name]
    figure = plot_policy(presets.get(name), tmp_path / "policy.png")
    assert Image.open(tmp_path / "policy.png").size[0] > 400
    panels = [axis for axis in figure.axes if axis.get_title().startswith("layer")]
    assert len(panels) == layers
    for axis in panels:
        assert len(axis.patches) == ops
        assert sum(bar.get_width() for bar in axis.patches) == pytest.approx(1.0)
    assert len([axis for axis in figure.axes if axis.images]) == layers
    assert not overlapping(texts_of(figure))


def test_policy_without_values(tmp_path):
    figure = plot_policy(make_policy([[[("Invert", 0.0, 1.0)]]]))
    assert len(figure.axes) == 1
    assert not overlapping(texts_of(figure))


@pytest.mark.parametrize(("count", "channels"), [(1, 3), (11, 1)])
def test_batch_figure(count, channels, tmp_path):
    before = np.random.default_rng(0).integers(0, 256, (count, 8, 6, channels)).astype(np.uint8)
    target = np.full((count, 3), 0.045)
    target[:, 2] = 0.91
    figure = plot_batch(before, before + 0.2, np.full(count, 0.83), target, path=tmp_path / "batch.png")
    assert (tmp_path / "batch.png").exists()
    assert [axis.get_title() for axis in figure.axes if axis.get_title()] == ["0.83 | 2: 0.91"] * count
    images = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert len(images) == 2 * count
    # The images after stand in the row below, eight of them in a row.
    np.testing.assert_array_equal(images[0], images[min(count, 8)])
    long = plot_batch(before, before, np.ones(count), target, ["cat", "dog", "a rather long name"])
    assert {axis.get_title() for axis in long.axes} - {""} == {"1.00\na rather long…: 0.91"}
    for drawn in (figure, long):
        assert not overlapping(texts_of(drawn))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 4, 4, 2)), np.zeros((2, 4, 4, 2))), "with 1 or 3 channels"),
        ((np.zeros((4, 4, 3)), np.zeros((4, 4, 3))), "with 1 or 3 channels"),
        ((np.zeros((2, 4, 4, 3)), np.zeros((3, 4, 4, 3))), "must be images of one shape"),
        ((np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 3)), np.zeros(3)), "must be images of one shape"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(UsageError, match=message):
        plot_batch(*arguments)


@pytest.mark.parametrize("name", ["none/policy.png", "policy.xyz"])
def test_path_that_cannot_be_written(name, tmp_path):
    with pytest.raises(UsageError, match=r"cannot draw into .*policy"):
        plot_policy(make_policy([[[("Invert", 0.0, 1.0)]]]), tmp_path / name)
