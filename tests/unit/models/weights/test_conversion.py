"""Names and shapes of PyTorch's networks land in the right arrays, and back, bit for bit."""

import functools

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxaug import models
from jaxaug.core.errors import UsageError
from jaxaug.models import weights
from jaxaug.models.vit import resize_positions
from jaxaug.models.weights import names

# A network, and names with what they must be: [out in H W], [out in] or [features] in PyTorch.
FACTS = {
    "resnet18": {
        "conv1.weight": "params/Conv_0/kernel",
        "bn1.running_var": "model_state/BatchNorm_0/var",
        "layer2.0.downsample.0.weight": "params/stage2_block1/Conv_2/kernel",
        "layer4.1.bn2.weight": "params/stage4_block2/BatchNorm_1/scale",
        "fc.weight": "params/head/kernel",
    },
    "resnet50": {
        "layer1.0.downsample.1.running_mean": "model_state/stage1_block1/BatchNorm_3/mean",
        "layer3.5.conv3.weight": "params/stage3_block6/Conv_2/kernel",
    },
    "resnext50_32x4d": {"layer4.2.conv2.weight": "params/stage4_block3/Conv_1/kernel"},
    "densenet121": {
        "features.denseblock3.denselayer24.norm2.bias": "params/block3_layer24/BatchNorm_1/bias",
        "features.transition1.conv.weight": "params/transition1/Conv_0/kernel",
        "features.norm5.weight": "params/BatchNorm_1/scale",
        "classifier.bias": "params/head/bias",
    },
    "efficientnet_b0": {
        "features.1.0.block.0.0.weight": "params/stage1_block1/depthwise/kernel",
        "features.6.3.block.2.fc1.bias": "params/stage6_block4/gate/reduce/bias",
        "features.8.1.running_mean": "model_state/last_norm/mean",
    },
    "vit_s_16": {
        "class_token": "params/class_token",
        "encoder.layers.encoder_layer_11.self_attention.in_proj_weight": "params/block12/query_key_value/kernel",
        "encoder.layers.encoder_layer_0.mlp.3.bias": "params/block1/mlp_output/bias",
    },
    "convnext_tiny": {
        "features.1.0.layer_scale": "params/stage1_block1/layer_scale",
        "features.6.1.weight": "params/downsample3/kernel",
        "features.7.2.block.5.weight": "params/stage4_block3/output/kernel",
        "classifier.2.weight": "params/head/kernel",
    },
}
AXES = {4: (2, 3, 1, 0), 2: (1, 0)}


@functools.lru_cache
def network(name):
    """A network of 7 classes with random numbers in its arrays, at no cost of compiling."""
    model = models.create(name, num_classes=7)
    shapes = jax.eval_shape(lambda key: models.init_model(model, key, (224, 224, 3)), jax.random.key(0))
    generator = np.random.default_rng(0)
    return model, jax.tree.map(lambda leaf: generator.random(leaf.shape, np.float32), shapes)


@pytest.mark.parametrize("name", FACTS)
def test_the_round_trip_is_exact_and_arrays_have_the_names_of_torchvision(name):
    model, (params, model_state) = network(name)
    state = weights.to_torch(model, params, model_state)
    flat = flatten_dict({"params": params, "model_state": model_state}, sep="/")
    assert len(state) == len(flat)
    for theirs, ours in FACTS[name].items():
        expected = flat[ours]
        if ours.endswith("kernel"):
            expected = expected.transpose((3, 2, 0, 1) if expected.ndim == 4 else (1, 0))
        np.testing.assert_array_equal(state[theirs], expected.reshape(state[theirs].shape))
    back = weights.from_torch(model, {**state, "bn1.num_batches_tracked": np.array(3)})
    assert jax.tree.structure(back) == jax.tree.structure((params, model_state))
    jax.tree.map(np.testing.assert_array_equal, back, (params, model_state))


def test_the_layout_of_timm_is_read_too():
    model, (params, model_state) = network("vit_s_16")
    theirs = {}
    for name, array in weights.to_torch(model, params, model_state).items():
        for old, new in (
            ("encoder.layers.encoder_layer_", "blocks."), ("self_attention.in_proj_", "attn.qkv."),
            ("mlp.0", "mlp.fc1"),
            ("self_attention.out_proj", "attn.proj"), ("ln_1", "norm1"), ("ln_2", "norm2"), ("mlp.3", "mlp.fc2"),
            ("encoder.ln", "norm"), ("heads.head", "head"), ("class_token", "cls_token"),
            ("conv_proj", "patch_embed.proj"),
            ("encoder.pos_embedding", "pos_embed"),
        ):  # fmt: skip
            name = name.replace(old, new)
        theirs[name] = array
    jax.tree.map(np.testing.assert_array_equal, weights.from_torch(model, theirs), (params, model_state))


def test_isdas_densenets_call_two_layers_otherwise():
    rules = names.layouts_of(models.create("densenet121", num_classes=7))["isda"]
    assert names.torch_name(rules, ("head", "kernel")) == "fc.weight"
    assert names.torch_name(rules, ("BatchNorm_1", "mean")) == "features.norm_final.running_mean"
    assert names.torch_name(rules, ("BatchNorm_0", "mean")) == "features.norm0.running_mean"


def test_what_is_missing_left_over_or_of_another_shape_is_named():
    model, (params, model_state) = network("resnet18")
    state = weights.to_torch(model, params, model_state)
    less = {name: array for name, array in state.items() if name != "layer1.0.conv1.weight"}
    with pytest.raises(UsageError, match=r"missing: layer1.0.conv1.weight; left over: other.weight$"):
        weights.from_torch(model, {**less, "other.weight": np.zeros(3)})
    with pytest.raises(UsageError, match=r"fc.weight gives \(512, 7\), head/kernel is \(512, 9\)"):
        weights.from_torch(models.create("resnet18", num_classes=9), state)
    with pytest.raises(UsageError, match=r"left over: layer1.2.bn1.bias, .* and \d+ more"):
        weights.from_torch(model, weights.to_torch(*_flat(network("resnet34"))))


def _flat(made):
    return made[0], *made[1]


@pytest.mark.parametrize(("name", "options"), [("wide_resnet", {}), ("resnet", {"depth": 20}), ("densenet", {})])
def test_networks_that_pytorch_lacks_are_refused(name, options):
    with pytest.raises(
        UsageError, match="weights are known for ImageNet's networks of the families ConvNeXt, DenseNet"
    ):
        weights.to_torch(models.create(name, num_classes=3, **options), {}, {})


def test_another_activation_is_no_published_network():
    with pytest.raises(UsageError, match="the published networks have activation='relu'"):
        weights.to_torch(models.create("resnet18", num_classes=3, activation="celu"), {}, {})


@pytest.mark.parametrize(("name", "stem"), [("resnet18", "conv1"), ("efficientnet_b0", "features.0.0")])
def test_gray_images(name, stem):
    model = models.create(name, num_classes=3)
    params, state = jax.eval_shape(lambda key: models.init_model(model, key, (64, 64, 1)), jax.random.key(0))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), (params, state))
    assert weights.to_torch(model, *zeros)[f"{stem}.weight"].shape[1] == 1


def test_weights_of_another_network():
    """A state dict is not written under a name that is not the network's."""
    params, model_state = network("resnet34")[1]
    with pytest.raises(UsageError, match="not of this network; missing or left over"):
        weights.to_torch(network("resnet18")[0], params, model_state)
    with pytest.raises(UsageError, match="of other classes: head/"):
        weights.to_torch(models.create("resnet34", num_classes=77), params, model_state)


def test_files_of_ours(tmp_path):
    model, (params, model_state) = network("resnet18")
    weights.save(tmp_path / "one.npz", params, model_state)
    jax.tree.map(np.testing.assert_array_equal, weights.load(tmp_path / "one.npz"), (params, model_state))
    weights.export(tmp_path / "one.safetensors", model, params, model_state)
    state = weights.read_torch(tmp_path / "one.safetensors")
    jax.tree.map(np.testing.assert_array_equal, weights.from_torch(model, state), (params, model_state))
    np.savez(tmp_path / "other.npz", x=np.zeros(2))
    (tmp_path / "broken.npz").write_bytes(b"PK..")
    for file, message in (
        ("other.npz", "whose names"),
        ("broken.npz", "no .npz, or cut off"),
        ("none.npz", "no such file"),
    ):
        with pytest.raises(UsageError, match=f"{file}.*{message}"):
            weights.load(tmp_path / file)


def test_positions_for_other_images():
    """At 64 pixels a ViT has 1 + 4 x 4 tokens."""
    model = models.create("vit", num_classes=3, depth=1, width=4, num_heads=1)
    shapes = jax.eval_shape(lambda key: models.init_model(model, key, (224, 224, 3)), jax.random.key(0))
    params, model_state = jax.tree.map(lambda leaf: np.full(leaf.shape, 2.0), shapes)
    params["position_embedding"][0, 0] = 5.0
    found, _ = weights.from_torch(model, weights.to_torch(model, params, model_state), image_size=64)
    position = found["position_embedding"]
    assert position.shape == (1, 17, 4)
    np.testing.assert_array_equal(position[0, 0], 5.0)
    np.testing.assert_allclose(position[0, 1:], 2.0, rtol=1e-6)


@pytest.mark.slow
def test_positions_are_resized_as_timm_does():
    torch = pytest.importorskip("torch")
    embedding = np.random.default_rng(0).normal(size=(1, 1 + 14 * 14, 8)).astype(np.float32)
    grid = torch.tensor(embedding[:, 1:].reshape(1, 14, 14, 8)).permute(0, 3, 1, 2)
    for side in (7, 16, 24):
        resized = torch.nn.functional.interpolate(grid, (side, side), mode="bicubic", antialias=True)
        expected = resized.permute(0, 2, 3, 1).reshape(1, side * side, 8).numpy()
        np.testing.assert_allclose(resize_positions(embedding, 1 + side * side)[:, 1:], expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "densenet121"]  # noqa: RUF005
    + ["densenet161", "densenet169", "densenet201", "efficientnet_b0", "efficientnet_b1", "vit_b_16", "convnext_tiny"],
)
def test_logits_are_those_of_torchvision(name, tmp_path):
    """Within 1e-4 of PyTorch's in float64, or in the deepest networks twice what its own float32 is off."""
    torch, torchvision = pytest.importorskip("torch"), pytest.importorskip("torchvision")
    torch.manual_seed(0)
    theirs, image = getattr(torchvision.models, name)(), torch.randn(2, 3, 224, 224)
    _spread(torch, theirs, image)
    torch.save({"state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}}, tmp_path / "one.pth")
    model = models.create(name, num_classes=1000)
    params, model_state = weights.from_torch(model, weights.read_torch(tmp_path / "one.pth"))
    back = {name: torch.tensor(array) for name, array in weights.to_torch(model, params, model_state).items()}
    assert theirs.load_state_dict(back, strict=False).unexpected_keys == []
    assert all(torch.equal(theirs.state_dict()[name], array) for name, array in back.items())
    with torch.no_grad():
        expected, exact = theirs(image).numpy(), theirs.double()(image.double()).numpy()
    output, _ = models.apply_model(model, params, model_state, image.numpy().transpose(0, 2, 3, 1), train=False)
    off, its = (float(np.abs(logits - exact).max()) for logits in (output.logits, expected))
    print(f"{name}: {off:.1e}, PyTorch {its:.1e}, of {np.abs(exact).max():.2f}")
    assert off <= max(1e-4, 2 * its)


def _spread(torch, network, image):
    """Numbers with which the logits have the size that those of a trained network have; into evaluation mode."""
    with torch.no_grad():
        for one, values in network.state_dict().items():
            if one.endswith("layer_scale"):
                values.uniform_(0.5, 1.5)
            elif one.startswith("heads."):  # 0 at the start
                values.normal_(0, 0.05)
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        network.train()(image)
    network.eval()
