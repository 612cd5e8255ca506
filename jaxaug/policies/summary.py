"""A policy in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.ops.registry import IDENTITY, OPS
from jaxaug.policies.policy import Policy, check_policy

SHOWN = 5  # operations and branches of a layer
LEAST_SHARE = 1e-3


def branch_name(policy: Policy, layer: int, number: int) -> str:
    """What a branch of a policy with one sub-policy does: "Rotate -30"."""
    name = policy.names[policy.op[0, layer, number]]
    return f"{name} {policy.values()[0, layer, number]:.3g}" if OPS[name].has_levels else name


def entropy(probability: np.ndarray) -> float:
    """-sum p log p, in nats."""
    return float(-np.sum(probability * np.log(np.maximum(probability, 1e-300))))


def policy_statistics(policy: Policy) -> dict[str, Any]:
    """A policy with one sub-policy in numbers.

    Args:
      policy: with one sub-policy.

    Returns:
      "layers": of each its entropy over branches in nats, the probability that it does nothing, and that of every
      operation with 0.001 at least, the likeliest first; "operations_an_image": how many are done on average.

    Raises:
      UsageError: a policy with several sub-policies.
    """
    check_policy("policy_statistics", policy)
    if policy.op.shape[0] != 1:
        raise UsageError(f"only a policy with one sub-policy can be told layer by layer, this one has {len(policy.op)}")
    layers: list[dict[str, Any]] = []
    for i, p in enumerate(policy.probabilities()[1][0]):
        by_op = {name: float(p[policy.op[0, i] == n].sum()) for n, name in enumerate(policy.names)}
        likely = sorted(by_op.items(), key=lambda pair: -pair[1])
        ops = {name: round(share, 4) for name, share in likely if share >= LEAST_SHARE}
        layers.append({"entropy": entropy(p), "identity": by_op.get(IDENTITY, 0.0), "operations": ops})
    return {"layers": layers, "operations_an_image": sum(1.0 - layer["identity"] for layer in layers)}


def policy_summary(policy: Policy, records: Sequence[Mapping[str, Any]], title: str) -> str:
    """One page in Markdown: what the policy does layer by layer, how the search went, how to use it.

    Args:
      policy: with one sub-policy.
      records: of the search, each with step, layer, seconds and, if its direction tells one, cosine.
      title: whose policy it is.

    Returns:
      The text.

    Raises:
      UsageError: a policy with several sub-policies.
    """
    told = policy_statistics(policy)
    seconds, updates = sum(record["seconds"] for record in records), records[-1]["step"] if records else 0
    lines = [
        f"# The policy of {title}",
        "",
        f"{len(told['layers'])} layers, {told['operations_an_image']:.2f} operations an image on average; searched in "
        f"{updates} updates and {seconds:.0f} seconds.",
        "",
        "| layer | entropy (nats) | does nothing | operations | likeliest branches |",
        "|---|---|---|---|---|",
    ]
    for i, (layer, p) in enumerate(zip(told["layers"], policy.probabilities()[1][0], strict=True)):
        branches = ", ".join(f"{branch_name(policy, i, int(j))} ({p[j]:.3f})" for j in np.argsort(-p)[:SHOWN])
        ops = ", ".join(f"{name} {share:.2f}" for name, share in list(layer["operations"].items())[:SHOWN])
        lines.append(f"| {i + 1} | {layer['entropy']:.2f} | {layer['identity']:.3f} | {ops} | {branches} |")
    cosines = [f"layer {r['layer']}, update {r['step']}: {r['cosine']:.3f}" for r in records if "cosine" in r]
    course = f"Mean cosine between the gradients of augmented and of validation images: {'; '.join(cosines)}."
    return "\n".join(
        [
            *lines,
            "",
            course if cosines else "The direction of this search tells no cosine.",
            "",
            "Train with it: `{'name': 'policy', 'file': 'policy.json'}` among the training augmentations; apply it to "
            "a folder: `jaxaug augment --policy=policy.json --images=IN --out=OUT`; or in a program: "
            "`jaxaug.policies.load('policy.json')`.",
            "",
        ]
    )
