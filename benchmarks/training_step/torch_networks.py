"""The networks of `cases` in plain PyTorch, layer for layer those of jaxaug: forward(image) -> (features, logits)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import relu


def conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class PreActivation(nn.Module):
    """Zagoruyko and Komodakis 2016, figure 1d; where the shape changes the shortcut starts from the activated maps."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs, 3, stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), conv(outputs, outputs, 3)
        self.shortcut = conv(inputs, outputs, 1, stride) if inputs != outputs or stride != 1 else None

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        active = relu(self.norm1(maps), inplace=True)
        out = self.conv2(relu(self.norm2(self.conv1(active)), inplace=True))
        return out + (maps if self.shortcut is None else self.shortcut(active))


class PostActivation(nn.Module):
    """He et al. 2016, figure 5: two 3x3 convolutions, or 1x1, 3x3 (with the stride), 1x1 to four times the width."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool):
        super().__init__()
        if bottleneck:
            layers = [conv(inputs, width, 1), conv(width, width, 3, stride), conv(width, 4 * width, 1)]
        else:
            layers = [conv(inputs, width, 3, stride), conv(width, width, 3)]
        self.outputs = layers[-1].out_channels
        self.convs = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.BatchNorm2d(layer.out_channels) for layer in layers)
        changes = stride != 1 or inputs != self.outputs
        projection = [conv(inputs, self.outputs, 1, stride), nn.BatchNorm2d(self.outputs)] if changes else []
        self.shortcut = nn.Sequential(*projection)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        out = maps
        for index, (convolution, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            out = norm(convolution(relu(out, inplace=True) if index else out))
        return relu(out + self.shortcut(maps), inplace=True)


class Network(nn.Module):
    """Stem, blocks, what comes before the mean over space, and the classifier."""

    def __init__(self, stem: nn.Module, blocks: list[nn.Module], last: nn.Module, features: int, classes: int):
        super().__init__()
        self.maps = nn.Sequential(stem, *blocks, last)
        self.head = nn.Linear(features, classes)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.maps(image).mean((2, 3))
        return features, self.head(features)


def wide_resnet(depth: int, widen_factor: int, classes: int) -> Network:
    blocks: list[nn.Module] = []
    inputs = 16
    for stage in range(3):
        outputs = 16 * widen_factor * 2**stage
        for block in range((depth - 4) // 6):
            blocks.append(PreActivation(inputs, outputs, 2 if stage and not block else 1))
            inputs = outputs
    last = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
    return Network(conv(3, 16, 3), blocks, last, inputs, classes)


def resnet(depth: int, classes: int, stem: str = "small") -> Network:
    bottleneck, counts = {18: (False, (2, 2, 2, 2)), 50: (True, (3, 4, 6, 3))}[depth]
    first = [conv(3, 64, 3) if stem == "small" else conv(3, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    first += [] if stem == "small" else [nn.MaxPool2d(3, 2, 1)]
    blocks: list[nn.Module] = []
    inputs = 64
    for stage, count in enumerate(counts):
        for block in range(count):
            made = PostActivation(inputs, 64 * 2**stage, 2 if stage and not block else 1, bottleneck)
            blocks.append(made)
            inputs = made.outputs
    return Network(nn.Sequential(*first), blocks, nn.Identity(), inputs, classes)


NETWORKS = {"wide_resnet": wide_resnet, "resnet": resnet}
