"""Learned augmentation: how often and how strongly each operation is used, class by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from jaxaug.ops.registry import OPS
from jaxaug.policies.learnable import initial_offsets, is_gated, learned_policy
from jaxaug.policies.policy import Policy
from jaxaug.viz import heatmap
from jaxaug.viz.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOWEST_ROW = 0.25  # inches of a row, to be read


def op_usage(policy: Policy) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """How many times an image gets each op on average, and at which level.

    Sub-policies count by their shares, layers are added up, levels are averaged by their probability. Identity is left
    out where it only says that a gate is closed.

    Args:
      policy: one, or one for each of N rows.

    Returns:
      (names [O], times float [O], level float [O]), arrays [N, O] of a policy for each row; a level is in 0..1 of the
      op's range, NaN where the op is never drawn.
    """
    share, probability = policy.probabilities()
    names = tuple(name for name in policy.names if name != "Identity" or not is_gated(policy))
    op = np.asarray(policy.op).reshape(-1)
    of_name = np.stack([op == policy.names.index(name) for name in names], axis=1).astype(np.float64)
    weight = (share[..., None, None] * probability).reshape(*share.shape[:-1], len(op))
    level = np.broadcast_to(np.asarray(policy.level, np.float64), probability.shape).reshape(weight.shape)
    times = weight @ of_name
    never = np.full(times.shape, np.nan)
    return names, times, np.divide((weight * level) @ of_name, times, out=never, where=times > 0)


def policy_usage(
    policy: Policy,
    offsets: Mapping[str, np.ndarray],
    label: np.ndarray | None,
    class_names: Sequence[str],
    class_title: str = "class",
) -> Figure:
    """What a search made of a policy: how often each op is used, and at which level, beside where the search began.

    Args:
      policy: as the search began with it.
      offsets: {"logits", "level"} float [N, S, L, R'] and, of several sub-policies, "mix" [N, S]: what it learned
        about each row; or the same for all rows, without N.
      label: int [N], 0..K-1; the rows of each class are averaged. None for offsets of all rows.
      class_names: of the K classes.
      class_title: what the classes are, below the figure.

    Raises:
      UsageError: offsets of another policy.
    """
    ops, *begun = op_usage(learned_policy(policy, initial_offsets(policy)))
    columns = ["start", *(["all"] if label is None else class_names)]
    by_class = _by_class(policy, offsets, label, len(class_names))
    times, level = (np.stack(some, axis=1) for some in zip(begun, *by_class, strict=True))
    level[[OPS[op].neutral is None for op in ops]] = np.nan
    ranges = dict(zip(policy.names, policy.ranges, strict=True))
    rows = [op if OPS[op].neutral is None else "{}  {:.3g} … {:.3g}".format(op, *ranges[op]) for op in ops]
    side = heatmap.cell_side(len(ops), len(columns))
    down, across = (2, 1) if len(columns) > heatmap.MOST_WRITTEN else (1, 2)
    figure = new_figure(across * (side * len(columns) + 0.9) + 2.2, down * (max(side, LOWEST_ROW) * len(ops) + 1.6))
    often, strong = figure.subplots(down, across, sharex=True, sharey=True).flat
    once = _at_most_once(policy)
    figure.colorbar(heatmap.draw_heatmap(often, times, rows, columns, highest=1.0 if once else None), ax=often)
    figure.colorbar(heatmap.draw_heatmap(strong, level, rows, columns, highest=1.0), ax=strong)
    often.set_title("probability" if once else "times per image", fontsize=10)
    strong.set_title("level, 0 … 1 of the range", fontsize=10)
    figure.supxlabel(class_title, fontsize=10)
    return figure


def _by_class(
    policy: Policy, offsets: Mapping[str, np.ndarray], label: np.ndarray | None, num_classes: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(times [O], level [O]) of each class, the means over its rows; of all rows where label is None."""
    if label is None:
        yield op_usage(learned_policy(policy, {name: jnp.asarray(offset) for name, offset in offsets.items()}))[1:]
        return
    nothing = np.full(op_usage(policy)[1].shape, np.nan)
    # Class by class: a policy of many branches takes much room as probabilities of all rows.
    for rows in (np.flatnonzero(label == k) for k in range(num_classes)):
        if not len(rows):
            yield nothing, nothing
            continue
        own = {name: jnp.asarray(offset[rows]) for name, offset in offsets.items()}
        _, times, level = op_usage(learned_policy(policy, own))
        drawn = np.isfinite(level)
        total = np.where(drawn, level, 0.0).sum(0)
        yield times.mean(0), np.divide(total, drawn.sum(0), out=nothing.copy(), where=drawn.any(0))


def _at_most_once(policy: Policy) -> bool:
    """Whether no op but Identity is in several layers, so that it happens once at most."""
    op = np.asarray(policy.op)
    layers = [(op == i).any(axis=(0, 2)).sum() for i, name in enumerate(policy.names) if name != "Identity"]
    return max(layers, default=1) <= 1
