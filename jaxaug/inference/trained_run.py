"""A run's network by the run's folder: `load(folder).predict(images)`. Needs neither its data nor its optimiser."""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxaug import losses, models
from jaxaug.augment.compose import build_pipeline
from jaxaug.core.errors import UsageError
from jaxaug.core.maps import resize_bilinear
from jaxaug.core.registry import instantiate, pick
from jaxaug.core.sharding import make_mesh, put_global, replicated, sharded_along
from jaxaug.core.types import Batch, MetaParams, TrainState
from jaxaug.inference.pictures import as_pictures, check_scale, resized, same_size
from jaxaug.models.api import init_model
from jaxaug.runs.checkpoint import load_part
from jaxaug.runs.choice import AVERAGED, CHECKPOINT_CHOICES, checkpoint_step, run_in
from jaxaug.runs.mirror import checkpoints_of
from jaxaug.runs.signature import Signature, read_signature
from jaxaug.runs.workdir import CHECKPOINTS, SIGNATURE
from jaxaug.train.experiment import search_and_data
from jaxaug.train.finished_run import load_config, signature_of
from jaxaug.train.initial_weights import load_weights
from jaxaug.train.objective import Parts
from jaxaug.train.step import make_predict


class Predictions(NamedTuple):
    """What a network says of N images, or of each of their pixels.

    Of a network of label maps each is a list of N arrays where the images differ in size.

    Attributes:
      probabilities: [N K] float32; of label maps [N H W K].
      labels: [N] int32, the likeliest class; of label maps [N H W].
      features: [N D] float32, what its head sees; of label maps [N h w D], as coarse as the network makes them, with
        D = 0 where scales, mirrored images or windows are put together (`task`), which have no features in common.
      logits: [N K] float32, before any temperature; of label maps [N H W K].
    """

    probabilities: Any
    labels: Any
    features: Any
    logits: Any


class TrainedRun:
    """A run's network, ready to be used; see `load`.

    Attributes:
      folder: of the run.
      config: with every option.
      signature: what the network takes and says.
      checkpoint: "last", "best" or "averaged".
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

    def predict(
        self, images: Any, *, batch_size: int = 0, temperature: float = 1.0, resize: bool | None = None
    ) -> Predictions:
        """What the network says of images, as the run's evaluation sees them.

        Args:
          images: [N H W C], or [N H W] for one channel, uint8 or float on the 0..255 scale, of the size that the run
            was trained on; for label maps of any size, or a list of N images that differ in size.
          batch_size: most images at a time; 0 for that of the run's evaluations. Smaller batches are filled up to a
            power of two, so that few sizes are compiled.
          temperature: by which the logits are divided, see `calibrate`.
          resize: whether a network of label maps sees images at the size that the run was trained on, or at their own,
            each of which is compiled; None: as its data set does. The answer has their own size in any case.

        Raises:
          UsageError: no images, another shape or type, floats on another scale, a negative batch_size, or a temperature
            that is not above 0.
        """
        if batch_size < 0:
            raise UsageError(f"predict: batch_size must be at least 0, got {batch_size}")
        most = batch_size or self.config.eval_batch_size
        if self.has_maps:
            pictures = as_pictures(images, self.image_shape[2])
            return _joined(list(self.predict_maps(pictures, most, temperature=temperature, resize=resize)))
        images = _as_images(images, self.image_shape)
        size = min(1 << (len(images) - 1).bit_length(), most)
        parts = [images[start : start + size] for start in range(0, len(images), size)]
        found = list(self.predict_batches(parts, size, temperature=temperature))
        return Predictions(*(np.concatenate(some) for some in zip(*found, strict=True)))

    def predict_maps(
        self, pictures: Sequence[np.ndarray], most: int, *, temperature: float = 1.0, resize: bool | None = None
    ) -> Iterator[Predictions]:
        """What a network of label maps says of each picture, at the picture's own size.

        Args:
          pictures: uint8 or float32 [H W C] of any sizes.
          most: at a time.
          temperature: as in `predict`.
          resize: as in `predict`.
        """
        size = self.image_shape[:2]
        seen = [resized(picture, size) for picture in pictures] if self.resizes(resize) else list(pictures)
        for rows in same_size(seen, most):
            filled = min(1 << (len(rows) - 1).bit_length(), most)
            (said,) = self.predict_batches([np.stack([seen[row] for row in rows])], filled, temperature=temperature)
            for place, row in enumerate(rows):
                logits = resized(said.logits[place], pictures[row].shape[:2])
                yield _said(logits, said.features[place], temperature)

    def resizes(self, asked: bool | None) -> bool:
        """Whether pictures are brought to the run's size, if that is asked, or not (None): then as the data are."""
        return self.config.data.to_dict().get("fit") != "pad" if asked is None else asked

    def predict_batches(
        self, batches: Iterable[np.ndarray], batch_size: int, *, temperature: float = 1.0
    ) -> Iterator[Predictions]:
        """What the network says of each batch; the next one is read while the devices are at the last one.

        Args:
          batches: of up to batch_size images [n H W C] each, of one dtype and the run's size; for label maps of any.
          batch_size: to which they are filled up, so that one compilation serves all.
          temperature: by which the logits are divided.
        """
        check_temperature(temperature)
        size = -(-batch_size // self.mesh.size) * self.mesh.size
        sharding, waiting = sharded_along(self.mesh, 0), None
        for images in batches:
            filled = np.zeros((size, *images.shape[1:]), images.dtype)
            filled[: len(images)] = images
            running = len(images), self._jitted(self.state, put_global(filled, sharding))
            if waiting is not None:
                yield _finished(*waiting, temperature)
            waiting = running
        if waiting is not None:
            yield _finished(*waiting, temperature)

    def output_of(self, state: TrainState, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(logits [B K], features [B D]) of raw images [B H W C], a pure function.

        Of label maps logits [B H W K] at the size of the images, and features [B h w D].
        """
        none = jnp.zeros(images.shape[0], jnp.int32)
        output = self.predict_batch(state, Batch(images, none, none))
        maps = output.logits.ndim == 4
        return resize_bilinear(output.logits, images.shape[1:3]) if maps else output.logits, output.features

    @property
    def network(self) -> tuple[Any, Any]:
        """(params, model_state) of the network that is evaluated: the trained one, or one that its task keeps."""
        chosen = getattr(self.task, "network", None)
        return (self.state.params, self.state.model_state) if chosen is None else chosen(self.state)

    @functools.cached_property
    def _jitted(self) -> Callable[[TrainState, jax.Array], tuple[jax.Array, jax.Array]]:
        return jax.jit(self.output_of, out_shardings=replicated(self.mesh))

    @functools.cached_property
    def has_maps(self) -> bool:
        """Whether the network says a class for each pixel."""
        image = jax.ShapeDtypeStruct((1, *self.image_shape), jnp.uint8)
        return jax.eval_shape(self.output_of, self.state, image)[0].ndim == 4


def load(folder: str | pathlib.Path, checkpoint: str = "last") -> TrainedRun:
    """The network of a finished or interrupted run.

    Args:
      folder: of the run, or one with a single run below it.
      checkpoint: "last", or "best": of the epoch that was best on validation; "averaged": the averaged weights of the
        last one, see `config.average_decay`.

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
    kept = _kept_network(run.task, params, model_state)
    if run.checkpoint == AVERAGED and "params" not in kept:  # nor does the task evaluate an average by itself
        return _averaged_state(run)
    # Arrays that a network has not are not in its checkpoint either.
    trees = {"params": params, "model_state": model_state, "task_state": kept}
    part = {name: tree for name, tree in trees.items() if jax.tree.leaves(tree)}
    found = {**trees, **load_part(checkpoints_of(run.folder, CHECKPOINTS), run.step, part)}
    step, key = jnp.asarray(run.step, jnp.int32), jax.random.key(0)
    state = TrainState(step, found["params"], found["model_state"], (), (), MetaParams(), (), key)
    kept = {**trees["task_state"], **found["task_state"]}
    return state.replace(task_state=kept) if kept else state


def _averaged_state(run: TrainedRun) -> TrainState:
    weights = load_weights(run.folder, AVERAGED)
    params, model_state = put_global(weights, replicated(run.mesh))
    step, key = jnp.asarray(run.step, jnp.int32), jax.random.key(0)
    return TrainState(step, params, model_state, (), (), MetaParams(), (), key)


def _kept_network(task: Any, params: Any, model_state: Any) -> dict[str, Any]:
    """Shapes of the network that a task keeps beside the trained one and evaluates, such as a teacher; {} if none."""
    if not (hasattr(task, "network") and hasattr(task, "init_state")):
        return {}
    kept = jax.eval_shape(task.init_state, params, model_state)
    return {name: tree for name, tree in (("params", params), ("model_state", model_state)) if name in kept}


def check_temperature(temperature: float) -> None:
    """Raises UsageError unless logits can be divided by it without another class becoming the likeliest."""
    if not 0 < temperature < math.inf:
        raise UsageError(f"temperature must be a finite number above 0, got {temperature}")


def _finished(rows: int, output: tuple[jax.Array, jax.Array], temperature: float) -> Predictions:
    """The result of a batch, on the host, without what it was filled up with."""
    logits, features = (np.asarray(x)[:rows] for x in jax.device_get(output))
    return _said(logits, features, temperature)


def _said(logits: np.ndarray, features: np.ndarray, temperature: float) -> Predictions:
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
    return check_scale(images)


def _joined(parts: Sequence[Predictions]) -> Predictions:
    """Arrays where the pictures have one size, else lists."""
    fields = [list(some) for some in zip(*parts, strict=True)]
    one_size = len({array.shape for array in fields[1]}) == 1
    return Predictions(*(np.stack(some) if one_size else some for some in fields))
