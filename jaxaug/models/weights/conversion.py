"""State dicts of torchvision, timm and ISDA to parameter trees and back, every array accounted for."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxaug.core.atomic_io import write_bytes, write_npz
from jaxaug.core.errors import UsageError
from jaxaug.core.numpy_files import read_npz
from jaxaug.core.types import Tree
from jaxaug.models.api import Model, init_model
from jaxaug.models.vit import POSITION_EMBEDDING, resize_positions
from jaxaug.models.weights.files import read_tensors, unread_name, write_safetensors
from jaxaug.models.weights.fitting import PARTS, of_other_images, some_names
from jaxaug.models.weights.names import layouts_of, torch_name

USUAL_SIZE = 224  # pixels of a side
NESTED = ("state_dict", "model")  # where checkpoints of trainings keep the network
UNUSED = re.compile(r"\.num_batches_tracked$")


def read_torch(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """The state dict in a file: name -> array.

    Args:
      path: of `.safetensors` or of what `torch.save` has written: a state dict, or a checkpoint of a training with one
        under "state_dict" or "model". The prefix "module." of data-parallel networks is taken off. A classifier that
        lies beside the network, as in ISDA's checkpoints of CIFAR, is added; what else does, such as the loss in those
        of ImageNet, is passed over.

    Raises:
      UsageError: as `weights.files.read_tensors`, or there is no state dict, or one with something else than tensors.
    """
    found = read_tensors(path)
    if not isinstance(found, Mapping):
        told = unread_name(found) or type(found).__name__
        raise UsageError(f"{path}: it holds a {told} instead of a state dict; save its state_dict")
    inner = next((found[name] for name in NESTED if isinstance(found.get(name), Mapping)), found)
    heads = [found[name] for name in found if name.endswith("fc") and isinstance(found[name], Mapping)]
    state: dict[str, np.ndarray] = {}
    for part in (inner, *heads):
        for name in filter(None, map(unread_name, part.values())):
            raise UsageError(
                f"{path}: it names {name}, which is neither a tensor nor a plain value; save the state_dict"
            )
        arrays = {name: array for name, array in part.items() if isinstance(array, np.ndarray)}
        state |= {_plain(str(name)): array for name, array in arrays.items()}
    if not state:
        raise UsageError(f"{path}: it holds no tensors but under {', '.join(map(str, found)) or 'no name'}")
    return state


def _plain(name: str) -> str:
    name = re.sub(r"^(module\.)+", "", name)
    # The names of torchvision before 0.3, which no module could have today.
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)


def from_torch(model: Model, state: Mapping[str, np.ndarray], *, image_size: int = USUAL_SIZE) -> tuple[Tree, Tree]:
    """The parameters and statistics of a network from a state dict, float32.

    Args:
      model: from `models.create`, one of ImageNet's.
      state: name -> array, from `read_torch`, in the layout of torchvision or timm, whichever fits better.
      image_size: pixels of a side, for which ViT's position embedding is resized if need be.

    Raises:
      UsageError: an array is missing, left over or of another shape, with the names.
    """
    shapes = _shapes(model, image_size)
    given = {name: array for name, array in state.items() if not UNUSED.search(name)}
    tables = [{path: torch_name(rules, path[1:]) for path in shapes} for rules in layouts_of(model).values()]
    names = max(tables, key=lambda table: len(set(table.values()) & set(given)))
    missing, left = sorted(set(names.values()) - set(given)), sorted(set(given) - set(names.values()))
    if missing or left:
        told = [f"{what}: {some_names(found)}" for what, found in (("missing", missing), ("left over", left)) if found]
        raise UsageError(f"the file is not of this network; {'; '.join(told)}")
    wrong, found = [], {}
    for path, shape in shapes.items():
        array = _to_flax(path, np.asarray(given[names[path]]))
        if path[-1] == POSITION_EMBEDDING and of_other_images(array.shape, shape):
            array = np.asarray(resize_positions(array, shape[1]))
        if array.shape != shape:
            wrong.append(f"{names[path]} gives {array.shape}, {'/'.join(path[1:])} is {shape}")
        found[path] = array
    if wrong:
        raise UsageError(f"the shapes differ: {some_names(wrong)}")
    return _split(found)


def to_torch(model: Model, params: Tree, model_state: Tree) -> dict[str, np.ndarray]:
    """The state dict of a network as torchvision names and lays it out, float32: the inverse of `from_torch`.

    Raises:
      UsageError: torchvision has no such network, or the parameters are those of another one.
    """
    rules = next(iter(layouts_of(model).values()))
    flat = flatten_dict({"params": params, "model_state": model_state})
    _check_own(flat, _shapes(model, USUAL_SIZE, _channels_of(flat)))
    return {torch_name(rules, path[1:]): _to_torch(path, np.asarray(array, np.float32)) for path, array in flat.items()}


def _check_own(flat: Mapping[tuple[str, ...], np.ndarray], shapes: Mapping[tuple[str, ...], tuple[int, ...]]) -> None:
    """Refuses arrays that are not those of a network with these shapes; it may take images of another size."""
    other = sorted("/".join(path[1:]) for path in flat.keys() ^ shapes.keys())
    if other:
        raise UsageError(f"the weights are not of this network; missing or left over: {some_names(other)}")
    wrong = [
        f"{'/'.join(path[1:])} is {flat[path].shape} instead of {shape}"
        for path, shape in shapes.items()
        if flat[path].shape != shape
        and not (path[-1] == POSITION_EMBEDDING and of_other_images(flat[path].shape, shape))
    ]
    if wrong:
        raise UsageError(f"the weights are not of this network, or of other classes: {some_names(wrong)}")


def _channels_of(flat: Mapping[tuple[str, ...], np.ndarray]) -> int:
    """Of the images of a network with these arrays: 1 or 3. Depthwise convolutions see one channel each, too."""
    return 3 if any(path[-1] == "kernel" and np.shape(array)[2:3] == (3,) for path, array in flat.items()) else 1


def _shapes(model: Model, image_size: int, channels: int = 3) -> dict[tuple[str, ...], tuple[int, ...]]:
    key = jax.random.key(0)
    made = jax.eval_shape(lambda key: init_model(model, key, (image_size, image_size, channels)), key)
    return {path: leaf.shape for path, leaf in flatten_dict(dict(zip(PARTS, made, strict=True))).items()}


def _split(flat: Mapping[tuple[str, ...], np.ndarray]) -> tuple[Tree, Tree]:
    tree = unflatten_dict(flat)
    return tree.get("params", {}), tree.get("model_state", {})


def _to_flax(path: tuple[str, ...], array: np.ndarray) -> np.ndarray:
    """[out in H W] -> [H W in out] and [out in] -> [in out]; the scale of a ConvNeXt block loses its two axes."""
    array = array.astype(np.float32)
    if path[-1] == "kernel":
        return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
    return array.reshape(-1) if path[-1] == "layer_scale" else array


def _to_torch(path: tuple[str, ...], array: np.ndarray) -> np.ndarray:
    if path[-1] == "kernel":
        return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    return array.reshape(-1, 1, 1) if path[-1] == "layer_scale" else array


def save(path: str | pathlib.Path, params: Tree, model_state: Tree) -> None:
    """Write parameters and statistics as one `.npz`, whose names are "params/..." and "model_state/..."."""
    flat = flatten_dict({"params": params, "model_state": model_state}, sep="/")
    write_npz(pathlib.Path(path), {name: np.asarray(array) for name, array in flat.items()}, compressed=False)


def load(path: str | pathlib.Path) -> tuple[Tree, Tree]:
    """The parameters and statistics that `save` has written.

    Raises:
      UsageError: there is no such file, or it holds something else.
    """
    flat = {tuple(name.split("/")): array for name, array in read_npz(path).items()}
    if not flat or {name[0] for name in flat} - set(PARTS):
        raise UsageError(f"{path}: it is no file of converted weights, whose names begin with params or model_state")
    return _split(flat)


def export(path: str | pathlib.Path, model: Model, params: Tree, model_state: Tree) -> None:
    """Write the state dict of `to_torch` as `.safetensors`."""
    write_bytes(pathlib.Path(path), write_safetensors(to_torch(model, params, model_state)))
