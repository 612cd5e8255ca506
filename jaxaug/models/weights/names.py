"""Which layer of a network is called what in PyTorch: a table of rules for each family and layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from flax import linen as nn

from jaxaug.core.errors import UsageError
from jaxaug.models.api import Model
from jaxaug.models.convnext import ConvNeXt
from jaxaug.models.densenet import DenseNet
from jaxaug.models.efficientnet import EfficientNet
from jaxaug.models.resnet import ResNet, plan
from jaxaug.models.resnext import ResNeXt
from jaxaug.models.vit import ViT

# pattern of a path -> the name; in "{0-1}" stands the pattern's first group less one, in "{0+1}" and one, in "{0}" the
# group itself.
Rules = Mapping[str, str]
BLOCK = r"stage(\d+)_block(\d+)/"


def _resnet(model: nn.Module) -> Rules:
    bottleneck = isinstance(model, ResNeXt) or (isinstance(model, ResNet) and plan(model.depth, model.stem).bottleneck)
    last = 3 if bottleneck else 2
    inner = {
        BLOCK + rf"{kind}_{index}": f"layer{{0}}.{{1-1}}.{name}{index + 1}"
        for kind, name in (("Conv", "conv"), ("BatchNorm", "bn"))
        for index in range(last)
    }
    return {
        # A deep stem has three of them, named as in PSPNet's code.
        r"Conv_(\d+)": "conv{0+1}",
        r"BatchNorm_(\d+)": "bn{0+1}",
        **inner,
        BLOCK + f"Conv_{last}": "layer{0}.{1-1}.downsample.0",
        BLOCK + f"BatchNorm_{last}": "layer{0}.{1-1}.downsample.1",
        "head": "fc",
    }


def _densenet(model: nn.Module) -> Rules:
    layer = r"block(\d+)_layer(\d+)/"
    return {
        "Conv_0": "features.conv0",
        "BatchNorm_0": "features.norm0",
        "BatchNorm_1": "features.norm5",
        layer + "BatchNorm_0": "features.denseblock{0}.denselayer{1}.norm1",
        layer + "Conv_0": "features.denseblock{0}.denselayer{1}.conv1",
        layer + "BatchNorm_1": "features.denseblock{0}.denselayer{1}.norm2",
        layer + "Conv_1": "features.denseblock{0}.denselayer{1}.conv2",
        r"transition(\d+)/BatchNorm_0": "features.transition{0}.norm",
        r"transition(\d+)/Conv_0": "features.transition{0}.conv",
        "head": "classifier",
    }


def _densenet_isda(model: nn.Module) -> Rules:
    return {**_densenet(model), "BatchNorm_1": "features.norm_final", "head": "fc"}


def _efficientnet_torchvision(model: nn.Module) -> Rules:
    rules = {"stem": "features.0.0", "stem_norm": "features.0.1", "last": "features.8.0", "last_norm": "features.8.1"}
    # The first stage does not expand, so that its numbers are one less.
    for first, place in ((r"stage(1)_block(\d+)/", 0), (r"stage([2-7])_block(\d+)/", 1)):
        start = "features.{0}.{1-1}.block."
        rules |= {
            first + "expand": start + "0.0",
            first + "expand_norm": start + "0.1",
            first + "depthwise": start + f"{place}.0",
            first + "depthwise_norm": start + f"{place}.1",
            first + "gate/reduce": start + f"{place + 1}.fc1",
            first + "gate/expand": start + f"{place + 1}.fc2",
            first + "project": start + f"{place + 2}.0",
            first + "project_norm": start + f"{place + 2}.1",
        }
    return {**rules, "head": "classifier.1"}


def _efficientnet_timm(model: nn.Module) -> Rules:
    rules = {"stem": "conv_stem", "stem_norm": "bn1", "last": "conv_head", "last_norm": "bn2", "head": "classifier"}
    start = "blocks.{0-1}.{1-1}."
    for first, norms, project in (
        (r"stage(1)_block(\d+)/", ("", "bn1", "bn2"), "conv_pw"),
        (r"stage([2-7])_block(\d+)/", ("bn1", "bn2", "bn3"), "conv_pwl"),
    ):
        rules |= {
            first + "expand": start + "conv_pw",
            first + "expand_norm": start + norms[0],
            first + "depthwise": start + "conv_dw",
            first + "depthwise_norm": start + norms[1],
            first + "gate/reduce": start + "se.conv_reduce",
            first + "gate/expand": start + "se.conv_expand",
            first + "project": start + project,
            first + "project_norm": start + norms[2],
        }
    return rules


def _vit_torchvision(model: nn.Module) -> Rules:
    block, start = r"block(\d+)/", "encoder.layers.encoder_layer_{0-1}."
    return {
        "patch_embedding": "conv_proj",
        "class_token": "class_token",
        "position_embedding": "encoder.pos_embedding",
        block + "attention_norm": start + "ln_1",
        block + "query_key_value": start + "self_attention.in_proj_",
        block + "attention_output": start + "self_attention.out_proj",
        block + "mlp_norm": start + "ln_2",
        block + "mlp_hidden": start + "mlp.0",
        block + "mlp_output": start + "mlp.3",
        "last_norm": "encoder.ln",
        "head": "heads.head",
    }


def _vit_timm(model: nn.Module) -> Rules:
    block, start = r"block(\d+)/", "blocks.{0-1}."
    return {
        "patch_embedding": "patch_embed.proj",
        "class_token": "cls_token",
        "position_embedding": "pos_embed",
        block + "attention_norm": start + "norm1",
        block + "query_key_value": start + "attn.qkv",
        block + "attention_output": start + "attn.proj",
        block + "mlp_norm": start + "norm2",
        block + "mlp_hidden": start + "mlp.fc1",
        block + "mlp_output": start + "mlp.fc2",
        "last_norm": "norm",
        "head": "head",
    }


def _convnext_torchvision(model: nn.Module) -> Rules:
    rules = {"stem": "features.0.0", "stem_norm": "features.0.1", "last_norm": "classifier.0", "head": "classifier.2"}
    for stage in range(1, 5):
        block, start = rf"stage{stage}_block(\d+)/", f"features.{2 * stage - 1}.{{0-1}}."
        rules |= {
            block + "depthwise": start + "block.0",
            block + "norm": start + "block.2",
            block + "hidden": start + "block.3",
            block + "output": start + "block.5",
            block + "layer_scale": start + "layer_scale",
            f"downsample{stage}_norm": f"features.{2 * stage}.0",
            f"downsample{stage}": f"features.{2 * stage}.1",
        }
    return rules


def _convnext_timm(model: nn.Module) -> Rules:
    start = "stages.{0-1}.blocks.{1-1}."
    return {
        "stem": "stem.0",
        "stem_norm": "stem.1",
        BLOCK + "depthwise": start + "conv_dw",
        BLOCK + "norm": start + "norm",
        BLOCK + "hidden": start + "mlp.fc1",
        BLOCK + "output": start + "mlp.fc2",
        BLOCK + "layer_scale": start + "gamma",
        r"downsample(\d)_norm": "stages.{0}.downsample.0",
        r"downsample(\d)": "stages.{0}.downsample.1",
        "last_norm": "head.norm",
        "head": "head.fc",
    }


# The first layout of a family is the one that is written; ISDA's ResNets are named as torchvision's.
LAYOUTS: dict[type[nn.Module], dict[str, Callable[[nn.Module], Rules]]] = {
    ResNet: {"torchvision": _resnet},
    ResNeXt: {"torchvision": _resnet},
    DenseNet: {"torchvision": _densenet, "isda": _densenet_isda},
    EfficientNet: {"torchvision": _efficientnet_torchvision, "timm": _efficientnet_timm},
    ViT: {"torchvision": _vit_torchvision, "timm": _vit_timm},
    ConvNeXt: {"torchvision": _convnext_torchvision, "timm": _convnext_timm},
}
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def layouts_of(model: Model) -> dict[str, Rules]:
    """The rules of each layout that a network is published in.

    Raises:
      UsageError: PyTorch's libraries have no such network.
    """
    if not isinstance(model, nn.Module) or type(model) not in LAYOUTS or getattr(model, "stem", "imagenet") == "small":
        known = ", ".join(sorted(kind.__name__ for kind in LAYOUTS))
        raise UsageError(f"{type(model).__name__}: weights are known for ImageNet's networks of the families {known}")
    if getattr(model, "activation", "relu") != "relu":
        raise UsageError(f"{type(model).__name__}: the published networks have activation='relu', not another one")
    return {name: rules(model) for name, rules in LAYOUTS[type(model)].items()}


def torch_name(rules: Rules, path: tuple[str, ...]) -> str:
    """The name in PyTorch of the array at a path of parameters or statistics."""
    layer, leaf = ("/".join(path[:-1]), LEAVES[path[-1]]) if path[-1] in LEAVES else ("/".join(path), "")
    for pattern, name in rules.items():
        match = re.fullmatch(pattern, layer)
        if match:
            for index, group in enumerate(match.groups()):
                for change, number in (("-1", int(group) - 1), ("+1", int(group) + 1), ("", int(group))):
                    name = name.replace(f"{{{index}{change}}}", str(number))
            return name + leaf if not leaf or name.endswith("_") else f"{name}.{leaf}"
    raise UsageError(f"{'/'.join(path)} has no counterpart in PyTorch's networks")
