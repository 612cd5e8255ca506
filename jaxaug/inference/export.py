"""A run's network for other programs: as StableHLO with its preprocessing, its weights as .safetensors, its policy."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax import export

from jaxaug.core.atomic_io import write_bytes
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick
from jaxaug.inference.trained_run import TrainedRun, check_temperature
from jaxaug.models.weights.files import write_safetensors
from jaxaug.policies import presets
from jaxaug.policies.other_libraries import timm_string, torchvision_code
from jaxaug.policies.policy import Policy
from jaxaug.runs.workdir import POLICY

PLATFORMS = {"cpu": "cpu", "cuda": "cuda", "gpu": "cuda", "rocm": "rocm", "tpu": "tpu"}  # as jax.export calls them
STYLES = ("json", "torchvision", "timm")


def export_function(
    run: TrainedRun,
    path: str | pathlib.Path,
    *,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
    features: bool = False,
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Write a run's network with its preprocessing as one function for any batch size, which needs JAX alone.

        function = jax.export.deserialize(bytearray(open("model.stablehlo", "rb").read()))
        probabilities = function.call(images)             # uint8 [B H W C] -> float32 [B K], or maps [B h w K]

    Its weights are in the file. Beside it `<path>.json` tells the classes, the shapes and the versions.

    Args:
      run: as `inference.load` gives it.
      path: of the file.
      platforms: where it is to run, among "cpu", "cuda" (or "gpu"), "rocm" and "tpu".
      features: whether the function gives (probabilities, features [B D]).
      temperature: by which the logits are divided, see `calibrate`.

    Returns:
      What `<path>.json` has.

    Raises:
      UsageError: another platform, a temperature that is not above 0, a network that cannot take any batch size, or a
        file that cannot be written.
    """
    platforms = list(dict.fromkeys(pick("platform", one, PLATFORMS) for one in platforms))
    if not platforms:
        raise UsageError(f"name the platforms that the function is to run on, among {', '.join(PLATFORMS)}")

    check_temperature(temperature)
    exported = _exported(run, platforms, features, temperature)
    path = pathlib.Path(path)
    outputs = [f"{x.dtype}[{', '.join(map(str, x.shape))}]" for x in exported.out_avals]
    about = {
        "input": {"dtype": "uint8", "shape": ["batch", *run.image_shape]},
        "outputs": dict(zip(("probabilities", "features"), outputs, strict=False)),
        "class_names": list(run.class_names),
        "platforms": platforms,
        "temperature": temperature,
        "step": run.step,
        "jax": jax.__version__,
        "calling_convention": exported.calling_convention_version,
    }
    _write(path, bytes(exported.serialize()))
    _write(path.with_name(f"{path.name}.json"), json.dumps(about, indent=1).encode())
    return about


def _exported(run: TrainedRun, platforms: list[str], features: bool, temperature: float) -> export.Exported:
    """The function of `export_function`."""
    # On the host, so that the function is not tied to the devices that hold the weights here.
    state = jax.device_get(run.state.replace(key=None))

    def infer(images: jax.Array) -> Any:
        logits, found = run.output_of(state, images)
        probabilities = jax.nn.softmax(logits.astype(jnp.float32) / temperature, axis=-1)
        return (probabilities, found) if features else probabilities

    one = jax.ShapeDtypeStruct((1, *run.image_shape), jnp.uint8)
    if features and not jax.eval_shape(infer, one)[1].shape[-1]:
        raise UsageError(
            "there are no features of scales, mirrored images or windows put together: leave out features, or set the "
            "task's scales, flip and window to those of one whole image"
        )
    shape = (*export.symbolic_shape("batch"), *run.image_shape)
    try:
        return export.export(jax.jit(infer), platforms=platforms)(jax.ShapeDtypeStruct(shape, jnp.uint8))
    except Exception as error:  # models that compute with a size that is not known raise many kinds
        why = str(error).partition("\n")[0]
        raise UsageError(f"{run.config.model.name} cannot be exported for any batch size: {why}") from error


def export_weights(run: TrainedRun, path: str | pathlib.Path) -> int:
    """Write the parameters and BatchNorm's statistics of a run's network as .safetensors.

    Args:
      run: as `inference.load` gives it.
      path: of the file. Names are paths such as "params/head/kernel" and "model_state/BatchNorm_0/mean".

    Returns:
      How many arrays there are.

    Raises:
      UsageError: it cannot be written.
    """
    trees = jax.device_get(dict(zip(("params", "model_state"), run.network, strict=True)))
    arrays = {"/".join(map(str, names)): np.asarray(x) for names, x in flatten_dict(trees).items() if np.size(x)}
    _write(pathlib.Path(path), write_safetensors(arrays))
    return len(arrays)


def export_policy(run: TrainedRun, path: str | pathlib.Path, style: str = "json") -> str:
    """Write the policy that a run has searched, or else the one that it trains with.

    Args:
      run: as `inference.load` gives it.
      path: of the file.
      style: "json", as `policies.load` reads it; "torchvision", Python text; or "timm", a string of RandAugment's.

    Returns:
      Where the policy comes from, in words.

    Raises:
      UsageError: the run has none or several, the other library cannot express it, or the file cannot be written.
    """
    pick("style", style, dict.fromkeys(STYLES))
    policy, source = policy_of(run)
    if style == "json":
        try:
            policy.save(path)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    else:
        text = torchvision_code(policy) if style == "torchvision" else timm_string(policy)
        _write(pathlib.Path(path), text.encode())
    return source


def policy_of(run: TrainedRun) -> tuple[Policy, str]:
    """(the policy that a run has searched or else trains with, where it comes from). UsageError if there is not one."""
    if (run.folder / POLICY).exists():
        return Policy.load(run.folder / POLICY), f"searched by the run ({POLICY})"
    slots = [slot for slot in (*run.config.augment.train, *run.config.augment.after) if slot["name"] == "policy"]
    if len(slots) != 1:
        found = f"has {len(slots)} policies in its augmentation" if slots else "has neither searched nor used a policy"
        raise UsageError(f"the run in {run.folder} {found}: there is no one policy to export")
    slot = slots[0]
    preset = (slot["preset"], slot["num_layers"], slot["magnitude"])
    return presets.load(slot["file"]) if slot["file"] else presets.get(*preset), "of its training augmentation"


def _write(path: pathlib.Path, content: bytes) -> None:
    try:
        write_bytes(path, content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
