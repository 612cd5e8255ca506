"""Rates that differ between the parts of a network: frozen, slower, or slower the nearer a layer is to the image."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence

import jax
import optax

from jaxaug.core.errors import UsageError
from jaxaug.core.types import Tree

Rates = Sequence[tuple[str, float]]
"""(pattern of paths, what the learning rate of those parameters is multiplied by), the first that fits."""
TRAINED, FROZEN = "trained", "frozen"
# How the networks call the layers before their first stage, and those that belong to a stage or block by its number.
STEM = re.compile(r"(stem|stem_norm|patch_embedding|class_token|position_embedding|Conv_0|BatchNorm_0)(/|$)")
NUMBERED = re.compile(r"(stage|block|transition|downsample)(\d+)(_|/|$)")
_SHOWN = 8  # parts of a network


def check_rates(rates: Rates, layer_decay: float) -> None:
    """Raises UsageError unless each rate is a pattern with a number of at least 0, and the decay is in (0, 1]."""
    for one in rates:
        pair = isinstance(one, tuple | list) and len(one) == 2
        if not (pair and isinstance(one[0], str) and isinstance(one[1], int | float) and one[1] >= 0):
            raise UsageError(
                f'optim: rates must be pairs of a pattern and a number of at least 0, as ("head", 1.0), got {one!r}'
            )
    if not 0 < layer_decay <= 1:
        raise UsageError(f"optim: layer_decay must be above 0 and at most 1, got {layer_decay}")


def rate_of(rates: Rates, path: str) -> float:
    """What the first pattern that matches gives, 1 where none does.

    Args:
      rates: (pattern, factor), where * stands for any letters, also "/".
      path: of an array or a layer, such as "stage1_block1/Conv_0/kernel"; a pattern that matches the layer matches
        all that is in it.
    """
    words = path.split("/")
    parts = ["/".join(words[: count + 1]) for count in range(len(words))]
    for pattern, factor in rates:
        if any(fnmatch.fnmatchcase(part, pattern) for part in parts):
            return factor
    return 1.0


def frozen_by(rates: Rates) -> Callable[[str], bool] | None:
    """Whether the array or layer at a path has the rate 0; None where nothing has."""
    return (lambda path: rate_of(rates, path) == 0) if any(factor == 0 for _, factor in rates) else None


def layer_rates(paths: Iterable[str], decay: float) -> dict[str, float]:
    """path -> decay^(L + 1 - l) for the arrays of stage or block number l of L.

    0 is what comes before the first stage; head, last norm and whatever has another name have the whole rate (Bao et
    al., BEiT, ICLR 2022; stages as blocks for ConvNeXt and ResNets). A downsampling belongs to the stage it leads to.

    Raises:
      UsageError: no part of the network is called a stage or a block.
    """
    paths = list(paths)
    depths = {path: _depth_of(path) for path in paths}
    last = max((depth for depth in depths.values() if depth is not None), default=0)
    if not last:
        raise UsageError(
            f"optim: layer_decay needs a network with stages or blocks by number, such as stage1_block2; "
            f"{_some(paths)}: use rates"
        )
    return {path: 1.0 if depth is None else decay ** (last + 1 - depth) for path, depth in depths.items()}


def _depth_of(path: str) -> int | None:
    if STEM.match(path):
        return 0
    found = NUMBERED.match(path)
    return None if found is None else int(found[2]) + (found[1] == "downsample")


def with_rates(tx: optax.GradientTransformation, rates: Rates, layer_decay: float) -> optax.GradientTransformation:
    """An optimiser whose steps are multiplied for each array.

    What is frozen has no momentum, no decay and no share in a norm by which gradients are clipped.

    Args:
      tx: the optimiser.
      rates: (pattern, factor), the first that matches counts, see `rate_of`; 0 freezes.
      layer_decay: see `layer_rates`; 1 for none.

    Raises:
      UsageError: when the state is made: a pattern matches nothing, or nothing would be trained.
    """
    if not rates and layer_decay == 1:
        return tx

    def factors(tree: Tree) -> Tree:
        paths = [_path(key) for key, _ in jax.tree_util.tree_leaves_with_path(tree)]
        of_layer = layer_rates(paths, layer_decay) if layer_decay < 1 else dict.fromkeys(paths, 1.0)
        return jax.tree_util.tree_map_with_path(lambda key, _: rate_of(rates, _path(key)) * of_layer[_path(key)], tree)

    def labels(params: Tree) -> Tree:
        return jax.tree.map(lambda factor: TRAINED if factor else FROZEN, factors(params))

    def scaled(updates: Tree, params: Tree | None) -> Tree:
        return jax.tree.map(lambda update, factor: update * factor, updates, factors(params))

    parts = {TRAINED: tx, FROZEN: optax.set_to_zero()}
    chain = optax.chain(optax.multi_transform(parts, labels), optax.stateless(scaled))

    def init(params: Tree) -> optax.OptState:
        _check_matches(rates, [_path(key) for key, _ in jax.tree_util.tree_leaves_with_path(params)])
        return chain.init(params)

    return optax.GradientTransformation(init, chain.update)


def _check_matches(rates: Rates, paths: list[str]) -> None:
    for pattern, _ in rates:
        if all(rate_of(((pattern, 0.0),), path) for path in paths):
            raise UsageError(f"optim: rates: {pattern!r} matches nothing; {_some(paths)}")
    if not any(rate_of(rates, path) for path in paths):
        raise UsageError("optim: rates: everything is frozen, so that nothing would be trained")


def _some(paths: list[str]) -> str:
    parts = list(dict.fromkeys(path.partition("/")[0] for path in paths))
    return f"the network's parts are {', '.join(parts[:_SHOWN])}{', ...' * (len(parts) > _SHOWN)}"


def _path(key: tuple) -> str:
    return "/".join(str(one.key) for one in key)
