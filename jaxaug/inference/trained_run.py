"""A run's network by the run's folder: `load(folder).predict(images)`. Needs neither its data nor its optimiser."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxaug import losses, models
from jaxaug.augment.compose import build_pipeline
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate, pick
from jaxaug.core.sharding import make_mesh, put_global, replicated, sharded_along
from jaxaug.core.types import Batch, MetaParams, TrainState
from jaxaug.models.api import init_model
from jaxaug.runs.checkpoint import load_part
from jaxaug.runs.choice import CHECKPOINT_CHOICES, checkpoint_step, run_in
from jaxaug.runs.signature import Signature, read_signature
from jaxaug.runs.workdir import CHECKPOINTS, SIGNATURE
from jaxaug.train.experiment import search_and_data
from jaxaug.train.finished_run import load_config, signature_of
from jaxaug.train.objective import Parts
from jaxaug.train.step import make_predict



class Predictions(NamedTuple):
    """What a network says of N images.

    Attributes:
      probabilities: [N K] float32.
      labels: [N] int32, the likeliest class.
      features: [N D] float32, what its head sees.
      logits: [N K] float32, before any temperature.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    logits: np.ndarray


class TrainedRun:
    """A run's network, ready to be used; see `load`.

    Attributes:
      folder: of the run.
      config: with every option.
      signature: what the network takes and says.
      checkpoint: "last" or "best".
      step: of the checkpoint.
      predict_batch: (state, raw Batch) -> ModelOutput, a pure function.
      state: with the network's parameters, and nothing of its optimiser or losses.
    """

    def __init__(self, folder: pathlib.Path, config: ConfigDict, signature: Signature, checkpoint: str):
        self.folder, self.config, self.signature, self.checkpoint = folder, config, signature, checkpoint
        self.mesh = make_mesh()
        self.task = instantiate("task", config.task.to_dict())
        self.parts = _parts(config, signature, self.task)
        self.predict_batch = make_predict(self.parts)
        self.step = checkpoint_step(folder, checkpoint, self.task.metric)
        self.state = _state_of(self)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the K classes."""
        return self.signature.class_names

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images that it takes."""
        return self.signature.image_shape

    def predict(self, images: Any, *, batch_size: int = 0, temperature: float = 1.0) -> Predictions:
        """What the network says of images, as the run's evaluation sees them.

        Args:
          images: [N H W C], or [N H W] for one channel, uint8 or float on the 0..255 scale, of the size that the run
            was trained on.
          batch_size: most images at a time; 0 for that of the run's evaluations. Smaller batches are filled up to a
            power of two, so that few sizes are compiled.
          temperature: by which the logits are divided, see `calibrate`.

        Raises:
          UsageError: no images, another shape or type, floats on another scale, or labels that are maps.
        """
        images = _as_images(images, self.image_shape)
        most = batch_size or self.config.eval_batch_size
        size = min(1 << (len(images) - 1).bit_length(), most)
        parts = [images[start : start + size] for start in range(0, len(images), size)]
        found = list(self.predict_batches(parts, size, temperature=temperature))
        return Predictions(*(np.concatenate(some) for some in zip(*found, strict=True)))

    def predict_batches(
        self, batches: Iterable[np.ndarray], batch_size: int, *, temperature: float = 1.0
    ) -> Iterator[Predictions]:
        """What the network says of each batch; the next one is read while the devices are at the last one.

        Args:
          batches: of up to batch_size images [n H W C] each, all of one dtype.
          batch_size: to which they are filled up, so that one compilation serves all.
          temperature: by which the logits are divided.
        """
        size = -(-batch_size // self.mesh.size) * self.mesh.size
        sharding, waiting = sharded_along(self.mesh, 0), None
        for images in batches:
            filled = np.zeros((size, *self.image_shape), images.dtype)
            filled[: len(images)] = images
            running = len(images), self._jitted(self.state, put_global(filled, sharding))
            if waiting is not None:
                yield _finished(*waiting, temperature)
            waiting = running
        if waiting is not None:
            yield _finished(*waiting, temperature)

    def output_of(self, state: TrainState, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(logits [B K], features [B D]) of raw images [B H W C], a pure function."""
        none = jnp.zeros(images.shape[0], jnp.int32)
        output = self.predict_batch(state, Batch(images, none, none))
        return output.logits, output.features

    @property
    def network(self) -> tuple[Any, Any]:
        """(params, model_state) of the network that is evaluated: the trained one, or one that its task keeps."""
        chosen = getattr(self.task, "network", None)
        return (self.state.params, self.state.model_state) if chosen is None else chosen(self.state)

    @functools.cached_property
    def _jitted(self) -> Callable[[TrainState, jax.Array], tuple[jax.Array, jax.Array]]:
        self.check_classes()
        return jax.jit(self.output_of, out_shardings=replicated(self.mesh))

    def check_classes(self) -> None:
        """Raises UsageError where the network says more of an image than one class."""
        image = jax.ShapeDtypeStruct((1, *self.image_shape), jnp.uint8)
        if jax.eval_shape(self.output_of, self.state, image)[0].ndim != 2:
            raise UsageError(
                f"the run in {self.folder} tells a class for each pixel; only runs that tell one class for an "
                "image can predict: jaxaug evaluate takes it"
            )


def load(folder: str | pathlib.Path, checkpoint: str = "last") -> TrainedRun:
    """The network of a finished or interrupted run.

    Args:
      folder: of the run, or one with a single run below it.
      checkpoint: "last", or "best": of the epoch that was best on validation.

    Returns:
      A `TrainedRun`: `run.predict(images)`.

    Raises:
      UsageError: there is no run or no such checkpoint, its config is of another version of jaxaug, or its checkpoint
        is damaged or of another model.
    """
    pick("checkpoint", checkpoint, dict.fromkeys(CHECKPOINT_CHOICES))
    folder = run_in(pathlib.Path(folder).expanduser())
    config = load_config(folder)
    signature = read_signature(folder / SIGNATURE)
    if signature is None:  # of a run before there were signatures
        signature = signature_of(search_and_data(config)[1])
    return TrainedRun(folder, config, signature, checkpoint)


def _parts(config: ConfigDict, signature: Signature, task: Any) -> Parts:
    """What evaluations are made of; nothing of it trains."""
    options = {"num_classes": signature.num_classes, "precision": config.precision}
    model = models.create(**config.model.to_dict(), **options)
    augment, _ = build_pipeline((), mean=signature.mean, std=signature.std, size=config.augment.size)
    return Parts(task, model, augment, losses.create(()), steps_per_epoch=1, epochs=1)


def _state_of(run: TrainedRun) -> TrainState:
    side = run.config.augment.size
    shape = (side, side, run.image_shape[2]) if side else run.image_shape
    abstract = jax.eval_shape(lambda key: init_model(run.parts.model, key, shape), jax.random.key(0))
    everywhere = replicated(run.mesh)

    def placed(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere)

    params, model_state = jax.tree.map(placed, abstract)
    # Arrays that a network has not are not in its checkpoint either.
    trees = {"params": params, "model_state": model_state, "task_state": _kept_network(run.task, params, model_state)}
    part = {name: tree for name, tree in trees.items() if jax.tree.leaves(tree)}
    found = {**trees, **load_part(run.folder / CHECKPOINTS, run.step, part)}
    step, key = jnp.asarray(run.step, jnp.int32), jax.random.key(0)
    state = TrainState(step, found["params"], found["model_state"], (), (), MetaParams(), (), key)
    kept = {**trees["task_state"], **found["task_state"]}
    return state.replace(task_state=kept) if kept else state


def _kept_network(task: Any, params: Any, model_state: Any) -> dict[str, Any]:
    """Shapes of the network that a task keeps beside the trained one and evaluates, such as a teacher; {} if none."""
    if not (hasattr(task, "network") and hasattr(task, "init_state")):
        return {}
    kept = jax.eval_shape(task.init_state, params, model_state)
    return {name: tree for name, tree in (("params", params), ("model_state", model_state)) if name in kept}


def _finished(rows: int, output: tuple[jax.Array, jax.Array], temperature: float) -> Predictions:
    """The result of a batch, on the host, without what it was filled up with."""
    logits, features = (np.asarray(x)[:rows] for x in jax.device_get(output))
    odds = logits / np.float32(temperature)
    odds = np.exp(odds - odds.max(-1, keepdims=True))
    probabilities = odds / odds.sum(-1, keepdims=True)
    return Predictions(probabilities, logits.argmax(-1).astype(np.int32), features, logits)


def _as_images(images: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8, or float32, [N H W C]. Raises UsageError for what cannot be images of this shape."""
    images = np.asarray(images)
    if images.ndim == 3 and shape[2] == 1 and images.shape[1:] == shape[:2]:
        images = images[..., None]
    if images.shape[1:] != shape or not len(images):
        raise UsageError(
            f"predict: images have shape {list(images.shape)}; the run takes "
            f"[N {' '.join(map(str, shape))}], one or more"
        )
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise UsageError(f"predict: images are {images.dtype}; they must be uint8, or float on the scale 0..255")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and 1 < high <= 255):
        raise UsageError(f"predict: images lie in {low:g}..{high:g}; floats must be on the scale 0..255")
    return images.astype(np.float32)
