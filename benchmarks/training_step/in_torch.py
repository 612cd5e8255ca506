"""The same steps in plain PyTorch: uint8 rows gathered and normalised, channels last, fused SGD; ISDA by its equation.

Eager, and compiled by `torch.compile` (which needs a C++ compiler).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from augmentation.worker import picture
from torch import nn
from torch.nn.functional import cross_entropy

from training_step.cases import BATCHES, CASES, MEAN, OPTIMIZER, PRODUCT, STD, Case, isda_example
from training_step.torch_networks import NETWORKS


class ISDA:
    """logits[i, j] + 1/2 lambda (w_j - w_y)^T Sigma_y (w_j - w_y), y the label of row i (Wang et al. 2019, equation 7).

    The shift depends on a row only through its class, so that it is computed once for each class of the batch.
    """

    def __init__(self, classes: int, features: int, full: bool, strength: float):
        self.strength, self.full = strength, full
        self.count, self.mean = torch.zeros(classes), torch.zeros(classes, features)
        self.covariance = torch.zeros(classes, features, features) if full else torch.zeros(classes, features)

    @torch.no_grad()
    def update(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """The running mean and covariance of each class (ISDA, appendix A)."""
        for c in labels.unique().tolist():
            rows = features[labels == c]
            mean = rows.mean(0)
            centered, drift = rows - mean, self.mean[c] - mean
            share = len(rows) / (len(rows) + self.count[c])
            if self.full:
                variance, outer = centered.T @ centered / len(rows), torch.outer(drift, drift)
            else:
                variance, outer = centered.square().mean(0), drift.square()
            self.covariance[c] = (1 - share) * self.covariance[c] + share * variance + share * (1 - share) * outer
            self.mean[c] = (1 - share) * self.mean[c] + share * mean
            self.count[c] += len(rows)

    def __call__(
        self, features: torch.Tensor, logits: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        self.update(features.detach(), labels)
        present, row_of = labels.unique(return_inverse=True)
        shifts = []
        for c in present.tolist():
            difference, covariance = weight - weight[c], self.covariance[c]
            squares = ((difference @ covariance) * difference).sum(1) if self.full else difference.square() @ covariance
            shifts.append(squares)
        return logits + 0.5 * self.strength * torch.stack(shifts)[row_of]


def make(name: str, arm: str) -> tuple[Callable[[], float], dict[str, Any]]:
    """(call, report): a call takes one step; it gives its loss."""
    torch.manual_seed(0)
    report: dict[str, Any] = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    if arm == "matrix product":
        matrix = torch.ones(PRODUCT, PRODUCT)
        return lambda: float((matrix @ matrix)[0, 0]), report
    case = CASES[name]
    options = {key: value for key, value in case.model.items() if key != "name"}
    model = NETWORKS[case.model["name"]](**options, classes=case.classes).to(memory_format=torch.channels_last)
    report |= {
        "parameters": sum(x.numel() for x in model.parameters()),
        "multiplications": multiplications(model, case),
    }
    report |= {"isda_of_example": {form: isda_of_example(form == "full") for form in ("full", "diagonal")}}
    isda = None
    if arm == "ISDA":
        isda = ISDA(case.classes, model.head.in_features, case.covariance == "full", case.strength)
    return step_of(case, model, torch.compile(model) if arm == "plain, compiled" else model, isda), report


def step_of(case: Case, model: nn.Module, forward: Callable, isda: ISDA | None) -> Callable[[], float]:
    images, labels = (torch.from_numpy(x) for x in rows_of(case))
    mean, std = (255 * torch.tensor(x) for x in (MEAN, STD))
    options = {"lr" if key == "learning_rate" else key: value for key, value in OPTIMIZER.items()}
    optimizer = torch.optim.SGD(model.parameters(), **options, fused=True)
    orders = (np.random.default_rng(seed).permutation(len(labels)) for seed in itertools.count())
    batches = (rows for order in orders for rows in np.split(order, BATCHES))
    model.train()

    def step() -> float:
        rows = torch.from_numpy(next(batches))
        image, label = ((images[rows].float() - mean) / std).permute(0, 3, 1, 2), labels[rows]
        optimizer.zero_grad(set_to_none=True)
        features, logits = forward(image)
        logits = logits if isda is None else isda(features, logits, model.head.weight, label)
        loss = cross_entropy(logits, label)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def rows_of(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 images [N size size 3], int64 labels [N]) that are trained on."""
    count = BATCHES * case.batch
    return picture(case.size, count), np.random.default_rng(0).integers(0, case.classes, count)


def multiplications(model: nn.Module, case: Case) -> int:
    """Of convolutions and the classifier, in a forward pass of one image."""
    found = []

    def count(layer: nn.Module, given: tuple[torch.Tensor], out: torch.Tensor) -> None:
        found.append(out.numel() * layer.weight[0].numel())

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    model.eval()(torch.zeros(1, 3, case.size, case.size))
    for hook in hooks:
        hook.remove()
    return sum(found)


def isda_of_example(full: bool) -> list[float]:
    """The loss of each batch of `isda_example`."""
    features, weight, labels = (torch.from_numpy(x) for x in isda_example())
    isda = ISDA(*weight.shape, full, 0.5)
    return [float(cross_entropy(isda(f, f @ weight.T, weight, y), y)) for f, y in zip(features, labels, strict=True)]
