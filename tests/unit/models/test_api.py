"""Every model family: size, contract, randomness, precision, initialisers and options."""

import functools
import math

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import models
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import options_of, resolve
from jaxaug.models import densenet, layers, published, resnet

# Counts with 10 classes of ISDA's and Soft Augmentation's code. In its Shake-Shake 63 w^2 + 42 w parameters
# belong to shortcuts that are never called; we do not make them. "Ours": there is no number to meet.
TABLE = [
    ("resnet", {"depth": 32}, 466_906, 64),
    ("resnet", {}, 1_730_714, 64),
    ("resnet", {"squeeze_excite": True}, 1_742_810, 64),
    ("resnet", {"depth": 164}, 1_704_154, 256),  # ours: the reference crashes
    ("resnet", {"depth": 18}, 11_173_962, 512),
    ("resnet", {"depth": 50}, 23_520_842, 2048),
    ("resnet", {"depth": 101}, 42_512_970, 2048),
    ("resnet", {"norm": "group", "activation": "celu"}, 1_730_714, 64),
    ("wide_resnet", {}, 36_479_194, 640),
    ("wide_resnet", {"depth": 16, "widen_factor": 8}, 10_961_370, 512),
    ("wide_resnet", {"squeeze_excite": True}, 36_747_994, 640),
    ("wide_resnet", {"stride_on": 2, "raw_shortcut": True, "conv_bias": True}, 36_489_290, 640),  # DeepAA's, AutoDO's
    ("resnext", {}, 34_426_698, 1024),
    ("resnext", {"cardinality": 16}, 68_155_210, 1024),
    ("densenet", {}, 769_162, 342),
    ("densenet", {"growth_rate": 24, "depth": 40, "stem_width": 24}, 657_730, 258),  # ours
    ("shake_shake", {}, 2_989_034 - (63 * 32**2 + 42 * 32), 128),
    ("shake_shake", {"width": 112}, 36_435_434 - (63 * 112**2 + 42 * 112), 448),
    ("shake_resnext", {}, 34_437_386, 1024),
    ("pyramidnet", {"depth": 11}, 1_182_336, 864),  # ours; the published one in test_pyramidnet.py
    ("convnet", {}, 94_762, 128),  # ours
    ("convnet", {"downsampling": "max_pool"}, 94_762, 128),  # ours
    ("linear", {}, 30_730, 3072),  # ours
]
# With 1,000 classes, torchvision's; of ResNet-200 and ViT-S timm's; of DenseNet-265 the paper's.
PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet200": 64_673_832,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "densenet265": 33_337_704,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "vit_s_16": 22_050_664,
    "vit_b_16": 86_567_656,
    "convnext_tiny": 28_589_128,
    "convnext_small": 50_223_688,
    "convnext_base": 88_591_464,
}
TINY = [  # module, options, stochastic
    ("resnet", {"depth": 8}, False),
    ("resnet", {"depth": 10, "stem": "imagenet"}, False),
    ("resnet", {"depth": 11, "squeeze_excite": True, "dropout_rate": 0.3}, True),
    ("wide_resnet", {"depth": 10, "widen_factor": 1, "squeeze_excite": True, "dropout_rate": 0.3}, True),
    (
        "wide_resnet",
        {"depth": 10, "widen_factor": 1, "stride_on": 2, "raw_shortcut": True, "conv_bias": True, "norm": "group"}
        | {"initialiser": "he_fan_in", "activation": "celu"},
        False,
    ),
    ("resnext", {"depth": 11, "cardinality": 2, "base_width": 4}, False),
    ("densenet", {"depth": 10, "growth_rate": 8, "dropout_rate": 0.2}, True),
    ("densenet", {"depth": 9, "stem": "imagenet", "stem_width": 6}, False),
    ("efficientnet", {"depth_factor": 0.25, "width_factor": 0.1}, True),
    ("vit", {"depth": 2, "width": 12, "num_heads": 3, "patch_size": 3, "drop_path_rate": 0.5}, True),
    ("convnext", {"blocks": (1, 1, 2, 1), "widths": (8, 8, 8, 12), "drop_path_rate": 0.5}, True),
    ("shake_shake", {"depth": 8, "width": 8}, True),
    ("shake_resnext", {"depth": 11, "cardinality": 2, "base_width": 4}, True),
    ("pyramidnet", {"depth": 11, "alpha": 12, "drop_rate": 0.9}, True),
    ("convnet", {"widths": (8, 16), "dropout_rate": 0.5}, True),
    ("convnet", {"widths": (8, 16, 8, 8, 8), "downsampling": "max_pool"}, False),
    ("linear", {"dropout_rate": 0.5}, True),
]
INVALID = [
    ("resnet", {"depth": 21}, "6n"),
    ("resnet", {"depth": 56, "stem": "imagenet"}, "18, 34, 50, 101, 152, 200"),
    ("resnet", {"stem": "cifar"}, "stem"),
    ("resnet", {"num_classes": 0}, "at least 1"),
    ("wide_resnet", {"depth": 26}, "6n"),
    ("wide_resnet", {"widen_factor": 0}, "widen_factor"),
    ("wide_resnet", {"dropout_rate": 1.0}, "dropout_rate"),
    ("wide_resnet", {"stride_on": 3}, "stride_on must be one of 1, 2"),
    ("wide_resnet", {"initialiser": "torch"}, "initialiser must be one of he_fan_out, he_fan_in, pytorch"),
    ("resnet", {"norm": "layer"}, "norm must be one of batch, group"),
    ("resnet", {"activation": "gelu"}, "activation must be one of relu, celu"),
    ("resnext", {"depth": 101, "cardinality": 32, "base_width": 8}, "stem='imagenet'"),
    ("resnext", {"depth": 50, "stem": "imagenet"}, "50-32x4d, 101-32x8d, 101-64x4d, not 50-8x64d"),
    ("densenet", {"depth": 121}, "6n"),
    ("densenet", {"depth": 100, "stem": "imagenet"}, "121, 161, 169, 201, 265"),
    ("efficientnet", {"width_factor": 0.0}, "width_factor must be positive"),
    ("efficientnet", {"drop_path_rate": 1.0}, "drop_path_rate"),
    ("vit", {"num_heads": 5}, "width must be a multiple of num_heads"),
    ("convnext", {"blocks": (3, 3)}, "blocks must be four"),
    ("shake_resnext", {"depth": 26}, "9n"),
    ("resnext", {"depth": 28}, "9n"),
    ("resnext", {"cardinality": 0}, "cardinality"),
    ("densenet", {"depth": 101}, "6n"),
    ("densenet", {"compression": 0.0}, "compression"),
    ("shake_shake", {"depth": 25}, "6n"),
    ("shake_shake", {"width": 33}, "even"),
    ("pyramidnet", {"depth": 270}, "9n"),
    ("pyramidnet", {"alpha": 0}, "positive"),
    ("convnet", {"widths": ()}, "widths"),
    ("convnet", {"dtype": "bfloat61"}, "bfloat16"),
    ("convnet", {"downsampling": "average"}, "downsampling must be one of stride, max_pool"),
]
IMAGE = np.random.default_rng(0).normal(size=(4, 9, 12, 2)).astype(np.float32)  # odd, oblong, two channels
LARGE = np.random.default_rng(0).normal(size=(4, 33, 36, 2)).astype(np.float32)  # for those that refuse smaller ones
ALWAYS_RANDOM = ("shake_shake", "shake_resnext", "pyramidnet")  # without dropout, too
RATES = ("dropout_rate", "drop_path_rate")
CLASSES = 5
each_tiny = pytest.mark.parametrize("case", range(len(TINY)), ids=lambda i: f"{TINY[i][0]}-{i}")
# Unoptimised code, and keys that one operation expands, compile several times faster.
FAST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
jit = functools.partial(jax.jit, compiler_options=FAST)
KEYS = [jax.random.key(seed, impl="unsafe_rbg") for seed in range(4)]


def build(module, options, num_classes=CLASSES):
    return models.create(module, **{"num_classes": num_classes, **options})


@pytest.fixture(scope="module", autouse=True)
def shallow_networks_of_imagenet():
    """Depths that nobody has published, so that ImageNet's stem is tried with few layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.IMAGENET_STAGES, 10, (False, (1, 1, 1, 1)))
        patch.setitem(densenet.IMAGENET, 9, ((1, 1, 2, 1), 4))
        yield


def image_of(case):
    return LARGE if TINY[case][0] == "convnext" or TINY[case][1].get("stem") == "imagenet" else IMAGE


def drawn(model, image):
    """Variables of NumPy's, which need no compilation: kernels and biases normal, scales and variances 1."""
    generator = np.random.default_rng(0)

    def draw(path, leaf):
        if path[-1].key in ("scale", "var", "layer_scale"):
            return np.ones(leaf.shape, np.float32)
        return (generator.normal(size=leaf.shape) * max(np.prod(leaf.shape[:-1]), 100) ** -0.5).astype(np.float32)

    return jax.tree.map_with_path(draw, jax.eval_shape(functools.partial(model.init, train=False), KEYS[0], image))


@functools.lru_cache
def tiny(case, dtype="float32"):
    """The model, float32 variables, its training and its evaluation, jitted once per case."""
    module, options, _ = TINY[case]
    model = build(module, {**options, "dtype": dtype})

    def train(variables, image, key):
        trained, updates = model.apply(variables, image, train=True, rngs={"dropout": key}, mutable=["batch_stats"])
        return trained, updates.get("batch_stats", {})

    variables = drawn(model, image_of(case)) if dtype == "float32" else tiny(case)[1]
    return model, variables, jit(train), jit(functools.partial(model.apply, train=False))


@functools.lru_cache
def outputs(case, seed):
    """Of training with a key: (features, logits), statistics."""
    _, variables, train, _ = tiny(case)
    return train(variables, image_of(case), KEYS[seed])


@functools.lru_cache
def evaluated(case):
    _, variables, _, evaluate = tiny(case)
    return evaluate(variables, image_of(case))


def scaled_kernels(params, out):
    """Convolution kernels (the 4-dimensional leaves), flat, times the root of their fan out or in."""
    leaves, axis = map(np.asarray, jax.tree.leaves(params)), 2 if out else 3
    return [leaf.ravel() * np.take(leaf, 0, axis).size ** 0.5 for leaf in leaves if leaf.ndim == 4]


@pytest.mark.parametrize(("module", "options", "count", "width"), TABLE)
def test_parameter_count_and_output_shapes(module, options, count, width):
    model, image = build(module, options, num_classes=10), jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    init = functools.partial(model.init_with_output, train=False)
    (features, logits), variables = jax.eval_shape(init, KEYS[0], image)
    without = module == "linear" or options.get("norm") == "group"
    assert set(variables) == {"params", "batch_stats"} - ({"batch_stats"} if without else set())
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count
    assert variables["params"]["head"]["kernel"].shape == (width, 10)
    assert (features.shape, logits.shape) == ((2, width), (2, 10))


# One of each kind; what is deeper or wider takes seconds, and has its own command.
QUICK_NAMES = {"resnet18", "resnet50", "resnext50_32x4d", "densenet121", "efficientnet_b0", "vit_s_16", "convnext_tiny"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK_NAMES else [pytest.mark.slow]) for name in PUBLISHED]
)
def test_published_names(name):
    """Parameters as published, and nothing of the network itself left to choose."""
    model, image = build(name, {}, num_classes=1000), jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(functools.partial(model.init, train=False), KEYS[0], image)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == PUBLISHED[name]
    family, fixed = published.PUBLISHED[name]
    assert type(model) is family
    names = {option.name for option in options_of(resolve("model", name))}
    assert names == {option.name for option in options_of(family)} - (set(fixed) - {"dropout_rate"})
    with pytest.raises(UsageError, match="unknown option"):
        build(name, {next(iter(set(fixed) - {"dropout_rate"})): 1})


def test_every_family_is_in_the_tables():
    names = {name for name in models.list() if resolve("model", name).__module__.startswith("jaxaug.")}
    assert set(published.PUBLISHED) == set(PUBLISHED)
    families = {name for name in names - set(PUBLISHED) if ".segmentation_" not in resolve("model", name).__module__}
    assert families == {row[0] for row in TINY} == {row[0] for row in TABLE} | {"efficientnet", "vit", "convnext"}
    for name in names:
        assert isinstance(build(name, {}), nn.Module)
        for option in options_of(resolve("model", name)):
            assert option.meaning, (name, option.name)
        if name in families:
            assert resolve("model", name).__module__ == f"jaxaug.models.{name}"


def test_names_by_pattern():
    assert models.list("*resnet") == ["resnet", "wide_resnet"]
    assert models.list("resnext*") == ["resnext", "resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d"]
    assert dir(models) == sorted(models.__all__)


@each_tiny
def test_outputs_are_finite_and_logits_are_the_head_of_the_features(case):
    head = tiny(case)[1]["params"]["head"]
    for features, logits in (outputs(case, 1)[0], evaluated(case)):
        assert (features.shape, logits.shape) == ((len(IMAGE), len(head["kernel"])), (len(IMAGE), CLASSES))
        assert features.dtype == logits.dtype == jnp.float32
        assert 1e-3 < np.std(features) < np.inf  # one nan or infinity would show
        np.testing.assert_allclose(features @ head["kernel"] + head["bias"], logits, rtol=1e-4, atol=1e-4)


@each_tiny
def test_training_updates_every_statistic_and_evaluation_is_deterministic(case):
    (model, variables, _, evaluate), image, random = tiny(case), image_of(case), TINY[case][2]
    (once, stats), (other, _) = (outputs(case, seed) for seed in (1, 2))
    changed = jax.tree.map(lambda old, new: not np.array_equal(old, new), variables.get("batch_stats", {}), stats)
    assert all(jax.tree.leaves(changed))
    np.testing.assert_array_equal(evaluated(case)[1], evaluate(variables, image)[1])
    assert np.array_equal(once[1], other[1]) != random
    if random:
        with pytest.raises(flax.errors.InvalidRngError):
            jax.eval_shape(functools.partial(model.apply, train=True, mutable=True), variables, image)
    if TINY[case][0] not in ALWAYS_RANDOM:
        still = model.clone(**{rate: 0.0 for rate in RATES if hasattr(model, rate)})
        jax.eval_shape(functools.partial(still.apply, train=True, mutable=True), variables, image)
    jax.eval_shape(functools.partial(model.apply, train=False), variables, image)


@each_tiny
def test_bfloat16_keeps_float32_where_it_matters(case):
    (_, variables, *_), (half, _, train, evaluate), image = tiny(case), tiny(case, "bfloat16"), image_of(case)
    made = jax.eval_shape(functools.partial(half.init, train=False), KEYS[0], image)
    trained, stats = jax.eval_shape(train, variables, image, KEYS[1])
    features, logits = evaluate(variables, image)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((made, trained, stats, features, logits)))
    expected = evaluated(case)[0]
    assert np.linalg.norm(features - expected) < 0.03 * np.linalg.norm(expected)  # 0.4 % a rounding
    assert np.array_equal(features, expected) == (TINY[case][0] == "linear")  # whose only layer is the head


STARTS = [0, 4, 5, 6, 8, 9, 10, 11, 13]  # one of each family and initialiser


@pytest.mark.parametrize("case", STARTS, ids=lambda i: f"{TINY[i][0]}-{i}")
def test_convolutions_and_head_start_as_stated(case):
    name, options, _ = TINY[case]
    init = jit(functools.partial(build(name, options).init, train=False))
    params = init(KEYS[0], image_of(case))["params"]
    kernel, bias = (np.asarray(params["head"][leaf]) for leaf in ("kernel", "bias"))
    assert 0 < np.abs(bias).min() <= max(np.abs(kernel).max(), np.abs(bias).max()) <= len(kernel) ** -0.5
    np.testing.assert_allclose(np.std(kernel) * len(kernel) ** 0.5, 3**-0.5, atol=0.15)
    out = name != "shake_shake" and options.get("initialiser") != "he_fan_in" and name != "vit"
    scaled = [kernel / (1 if name == "vit" else np.sqrt(2)) for kernel in scaled_kernels(params, out)]
    if name == "convnext":
        scaled = [leaf.ravel() / 0.02 for leaf in map(np.asarray, jax.tree.leaves(params)) if leaf.ndim == 4]
    assert all(abs(np.std(one) - 1) < 5 / np.sqrt(2 * one.size) for one in scaled)  # five standard errors
    if scaled and name != "vit":  # whose normal is truncated
        assert abs(np.mean(np.abs(np.concatenate(scaled)) < 1) - 0.683) < 0.05  # a normal: a uniform has 0.577


def test_resnet_18_starts_as_pytorch_does():
    init = functools.partial(build("resnet", {"depth": 18}).init, train=False)
    block = jit(lambda key: init(key, jnp.asarray(IMAGE))["params"]["stage2_block1"])(KEYS[0])
    scaled = np.concatenate(scaled_kernels(block, out=False))
    np.testing.assert_allclose([np.abs(scaled).max(), np.std(scaled)], [1, 3**-0.5], atol=5e-3)


@pytest.mark.parametrize(("module", "options", "message"), INVALID)
def test_invalid_options_raise_usage_errors(module, options, message):
    with pytest.raises(UsageError, match=f"^{module}: .*{message}"):
        build(module, options)


def test_pytorch_starts_of_kernels_and_biases_of_a_wide_resnet():
    model = build("wide_resnet", {"depth": 10, "widen_factor": 2, "conv_bias": True, "initialiser": "pytorch"})
    params = jit(functools.partial(model.init, train=False))(KEYS[0], IMAGE)["params"]["stage3_block1"]["Conv_1"]
    scaled = np.asarray(params["kernel"]).ravel() * (9 * 128) ** 0.5
    np.testing.assert_allclose([np.abs(scaled).max(), np.std(scaled)], [1, 3**-0.5], atol=5e-3)
    bias = np.asarray(params["bias"]) * (9 * 128) ** 0.5
    np.testing.assert_allclose([np.abs(bias).max(), np.std(bias)], [1, 3**-0.5], atol=0.1)
    zero = build("wide_resnet", {"depth": 10, "widen_factor": 1, "zero_head_bias": True})
    np.testing.assert_array_equal(
        jit(functools.partial(zero.init, train=False))(KEYS[0], IMAGE)["params"]["head"]["bias"], 0
    )


@pytest.mark.parametrize(
    ("module", "message"), [("convnext", "32 x 32 or more, not 9 x 12"), ("vit", "multiples of 16 pixels, not 9 x 12")]
)
def test_images_that_do_not_fit_are_refused(module, message):
    with pytest.raises(UsageError, match=f"^{module}: .*{message}"):
        jax.eval_shape(functools.partial(build(module, {}).init, train=False), KEYS[0], IMAGE)


class Dropped(nn.Module):
    @nn.compact
    def __call__(self, branch, train):
        return layers.drop_path(branch, 0.25, train)


def test_drop_path_leaves_out_branches_of_examples_and_keeps_the_mean():
    ones = jnp.ones((400, 3, 2))
    out = Dropped().apply({}, ones, True, rngs={"dropout": KEYS[1]})
    np.testing.assert_allclose(np.unique(out), [0, 4 / 3], rtol=1e-6)
    np.testing.assert_array_equal(out, np.broadcast_to(out[:, :1, :1], out.shape))
    assert abs(float(out[:, 0, 0].mean()) - 1) < 5 * (0.25 / 0.75 / 400) ** 0.5
    np.testing.assert_array_equal(Dropped().apply({}, ones, False), ones)


@pytest.mark.parametrize(
    ("module", "options", "expected"),
    [
        ("efficientnet", {"depth_factor": 0.5, "drop_path_rate": 0.5}, [0.05 * i for i in range(10)]),
        ("vit", {"depth": 3, "drop_path_rate": 0.5}, [0.0, 0.25, 0.5]),
        ("convnext", {"blocks": (1, 1, 2, 1), "drop_path_rate": 0.4}, [0.0, 0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_drop_path_rates_grow_from_block_to_block(module, options, expected):
    seen = []

    def watch(call, args, kwargs, context):
        if type(context.module).__name__ == "Block" and context.method_name == "__call__":
            seen.append(context.module.drop_path_rate)
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        init = functools.partial(build(module, options).init, train=False)
        jax.eval_shape(init, KEYS[0], jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
    np.testing.assert_allclose(seen, expected, rtol=1e-12)


def test_densenet_refuses_images_that_would_vanish():
    with pytest.raises(UsageError, match="4 x 4"):
        jax.eval_shape(functools.partial(build("densenet", {}).init, train=False), KEYS[0], IMAGE[:, :3])


@pytest.mark.parametrize("shape", [(2, 8, 6, 3), (1, 7, 5, 2), (1, 1, 9, 1)])
def test_max_of_pairs_is_max_pooling(shape):
    """Values and, where no two are equal, gradients; a side of 1 stays as it is."""
    maps = jnp.asarray(np.random.default_rng(0).permutation(math.prod(shape)).reshape(shape), jnp.float32)
    window = tuple(min(side, 2) for side in shape[1:3])

    def pooled(maps):
        return nn.max_pool(maps, window, window)

    np.testing.assert_array_equal(layers.max_of_pairs(maps), pooled(maps))
    first, second = (jax.grad(lambda x, f=f: jnp.sum(f(x) ** 2))(maps) for f in (layers.max_of_pairs, pooled))
    np.testing.assert_array_equal(first, second)
