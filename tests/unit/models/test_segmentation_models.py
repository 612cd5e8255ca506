"""Networks for label maps: sizes of published ones, shapes, the dilated backbone, averages over cells; all but two
tests compute shapes alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxaug import models
from jaxaug.core.errors import UsageError
from jaxaug.models import weights
from jaxaug.models.segmentation_backbone import DilatedResNet
from jaxaug.models.segmentation_pspnet import pool_to

NAMES = ("pspnet", "deeplab_v3", "deeplab_v3_plus")
TINY = {"depth": 14, "width": 4, "features": 8, "auxiliary_features": 8}
ISDA = {"deep_stem": True, "auxiliary_features": 512, "features": 512, "activation": "leaky_relu"}


def unit(size, inputs, outputs):
    """Parameters of a convolution without a bias and its norm."""
    return size**2 * inputs * outputs + 2 * outputs


def head(inputs, classes):
    return inputs * classes + classes


# torchvision's ResNet-50 without its 1,000 classes; a deep stem has 3x3 convolutions of 64, 64 and 128 channels, and
# stage 1 begins with 128.
BACKBONE = 25_557_032 - head(2048, 1000)
DEEP = unit(3, 3, 64) + unit(3, 64, 64) + unit(3, 64, 128) - unit(7, 3, 64) + 64 * (64 + 256)
PYRAMID = unit(1, 2048, 256) + 3 * unit(3, 2048, 256) + unit(1, 2048, 256)
COUNTS = [
    # torchvision's deeplabv3_resnet50 and 101, as it lists them.
    ("deeplab_v3", {}, 21, 42_004_074),
    pytest.param("deeplab_v3", {"depth": 101}, 21, 60_996_202, marks=pytest.mark.slow),
    pytest.param(
        "deeplab_v3",
        {**ISDA, "refine": False},
        19,
        BACKBONE + DEEP + PYRAMID + unit(1, 1280, 512) + unit(3, 1024, 512) + 2 * head(512, 19),
        marks=pytest.mark.slow,
    ),
    (
        "pspnet",
        ISDA,
        19,
        BACKBONE + DEEP + 4 * unit(1, 2048, 512) + unit(3, 4096, 512) + unit(3, 1024, 512) + 2 * head(512, 19),
    ),
    (
        "deeplab_v3_plus",
        {},
        21,
        BACKBONE
        + PYRAMID
        + unit(1, 1280, 256)
        + unit(1, 256, 48)
        + unit(3, 304, 256)
        + unit(3, 256, 256)
        + unit(3, 1024, 256)
        + 2 * head(256, 21),
    ),
]


def started(name, num_classes=3, shape=(33, 65, 3), **options):
    """(model, shapes of its parameters and state)."""
    model = models.create(name, num_classes=num_classes, **options)
    return model, jax.eval_shape(lambda: models.init_model(model, jax.random.key(0), shape))


@pytest.mark.parametrize(("name", "options", "classes", "count"), COUNTS)
def test_parameters(name, options, classes, count):
    params, _ = started(name, classes, **options)[1]
    assert sum(x.size for x in jax.tree.leaves(params)) == count


def test_the_backbone_is_called_as_the_classifier():
    params, state = started("pspnet", depth=50, deep_stem=True)[1]
    classifier = started("resnet", 10, depth=50, stem="deep")[1]
    assert sum(x.size for x in jax.tree.leaves(classifier[0])) == BACKBONE + DEEP + head(2048, 10)
    for found, expected in zip((params, state), classifier, strict=True):
        expected = {name: part for name, part in expected.items() if name != "head"}
        of = [{path: leaf.shape for path, leaf in flatten_dict(tree).items()} for tree in (found["backbone"], expected)]
        assert of[0] == of[1]


def test_a_deep_stem_is_named_as_in_its_code():
    """conv1 to conv3, there and back."""
    model, shapes = started("resnet", depth=18, stem="deep")
    rng = np.random.default_rng(0)
    params, state = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    found = weights.to_torch(model, params, state)
    np.testing.assert_array_equal(found["conv3.weight"], params["Conv_2"]["kernel"].transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(found["bn2.running_var"], state["BatchNorm_1"]["var"])
    assert found["conv3.weight"].shape == (128, 64, 3, 3)
    back = weights.from_torch(model, found, image_size=64)
    jax.tree.map(np.testing.assert_array_equal, back, (params, state))


@pytest.mark.parametrize(
    ("name", "stride", "size"), [("pspnet", 8, (5, 9)), ("deeplab_v3", 16, (3, 5)), ("deeplab_v3_plus", 16, (9, 17))]
)
def test_shapes(name, stride, size):
    """A second head in training alone; odd sides are rounded up; float32 whatever the computation."""
    model, (params, state) = started(name, output_stride=stride, dtype="bfloat16", **TINY)
    image, key = jnp.zeros((2, 33, 65, 3)), jax.random.key(0)
    for train in (False, True):
        out, _ = jax.eval_shape(
            lambda p, s, t=train: models.apply_model(model, p, s, image, train=t, key=key), params, state
        )
        assert (out.features.shape, out.logits.shape) == ((2, *size, 8), (2, *size, 3))
        assert (out.kernel.shape, out.bias.shape) == ((8, 3), (3,))
        assert {x.dtype for x in jax.tree.leaves(out)} == {jnp.dtype("float32")}
        assert (out.auxiliary is None) != train
    expected = tuple(-(-side // stride) for side in (33, 65))
    assert out.auxiliary.logits.shape == (2, *expected, 3)
    assert out.auxiliary.kernel.shape == (8, 3)


def test_the_published_crop_gives_97_by_97():
    model, (params, state) = started("pspnet", **TINY)
    image = jnp.zeros((1, 769, 769, 3))
    out, _ = jax.eval_shape(lambda p, s: models.apply_model(model, p, s, image, train=False), params, state)
    assert out.logits.shape == (1, 97, 97, 3)


@pytest.fixture(scope="module")
def backbone():
    """Stage 4 of one image and one set of parameters: output strides 8 and 16, and 8 with dilate_first."""
    random = np.random.default_rng(0)
    image = jnp.asarray(random.normal(size=(1, 41, 65, 3)), jnp.float32)
    made = [DilatedResNet(26, stride, dilate_first=first, width=2) for stride, first in ((8, 0), (16, 0), (8, 1))]
    shapes = jax.eval_shape(lambda: made[0].init(jax.random.key(0), image, False))
    variables = jax.tree.map(lambda x: jnp.asarray(random.uniform(0.2, 1.0, x.shape), jnp.float32), shapes)
    return jax.jit(lambda variables: [model.apply(variables, image, False).fourth for model in made])(variables)


def test_holes_instead_of_strides_are_the_same_network_at_more_places(backbone):
    fine, coarse, other = map(np.asarray, backbone)
    assert (fine.shape, coarse.shape) == ((1, 6, 9, 64), (1, 3, 5, 64))
    np.testing.assert_allclose(fine[:, ::2, ::2], coarse, rtol=1e-4, atol=1e-5 * np.abs(coarse).max())
    assert np.abs(other[:, ::2, ::2] - coarse).max() > 1e-2 * np.abs(coarse).max()


@pytest.mark.parametrize("side", [1, 5, 6, 97])
def test_averages_over_cells(side):
    """As PyTorch's adaptive pooling: cells overlap where their number does not divide the side."""
    maps = np.random.default_rng(0).normal(size=(2, side, 7, 3)).astype(np.float32)
    for bins in (1, 2, 3, 6):
        found = np.asarray(pool_to(jnp.asarray(maps), bins))
        for i in range(bins):
            for j in range(bins):
                rows, columns = (slice(k * n // bins, -(-(k + 1) * n // bins)) for k, n in ((i, side), (j, 7)))
                expected = maps[:, rows, columns].mean(axis=(1, 2))
                np.testing.assert_allclose(found[:, i, j], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 34}, "depth must be one of 14, 26, 50, 101, 152, not 34"),
        ({"output_stride": 32}, "output_stride must be one of 8, 16, not 32"),
        ({"activation": "gelu"}, "activation must be one of"),
        ({"features": 0}, "width, features and auxiliary_features must be at least 1"),
        ({"dropout_rate": 1.0}, "dropout_rate must be in"),
        ({"num_classes": 0}, "num_classes must be at least 1"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_refusals(name, options, message):
    with pytest.raises(UsageError, match=message):
        models.create(name, **{"num_classes": 3, **options})
