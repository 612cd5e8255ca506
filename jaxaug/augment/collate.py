"""Augmentation of whole batches on the device, behind other people's data loaders."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, cast

import jax
import numpy as np

from jaxaug.augment.compose import Augmented, Pipeline, compose
from jaxaug.augment.functional import apply_policy
from jaxaug.core.arguments import as_progress, check_seed
from jaxaug.core.errors import UsageError
from jaxaug.core.layout import CHANNELS
from jaxaug.ops.arguments import check_images
from jaxaug.policies.policy import Policy

LAYOUTS = ("NHWC", "NCHW")
_FRAMEWORKS = ("torch", "tensorflow")


class Collate:
    """Augment batches on the device, as a loader hands them over, in the process that trains.

        loader = torch.utils.data.DataLoader(dataset, batch_size=64, collate_fn=augment.Collate(policy, layout="NCHW"))
        for images, labels in map(augment.Collate(policy), tf_dataset): ...

    It takes a list of samples (image, label), or a batch (images, labels), each an array or tensor; or images alone.
    Images are uint8 on the 0..255 scale. Tensors of torch and TensorFlow give tensors of theirs, on the device they
    were on; everything else gives arrays of JAX, label maps in int32. Call number n takes the key
    fold_in(key(seed), n): the same seed gives the same batches, and `collate.calls = n` resumes.

    A batch smaller than the others, such as the last one of an epoch, is filled up with its last row, and cut to its
    size afterwards, so that nothing is compiled anew.

    Args:
      transform: a policy, a transform, or what `compose` made of several.
      seed: of everything random.
      layout: "NHWC", or "NCHW" as torch has it; of what comes in and what goes out.
      batch_size: rows of a whole batch; None for those of the largest batch so far.
      full: give an `Augmented`, which also says how much of each image is seen and how rows were mixed, instead of
        (images, labels).

    Attributes:
      calls: how many batches were augmented.
      progress: how far the training is, in 0..1, for transforms that stop or fade; to be set by whoever trains.

    Raises:
      UsageError: options that are none, a transform that mixes rows without `full`; and, when called, arrays of another
        shape or type, more rows than batch_size, or a call in a forked worker process; with what to do.
    """

    def __init__(
        self,
        transform: Any,
        *,
        seed: int = 0,
        layout: str = "NHWC",
        batch_size: int | None = None,
        full: bool = False,
    ) -> None:
        if layout not in LAYOUTS:
            raise UsageError(f"Collate: layout must be one of {LAYOUTS}, got {layout!r}")
        check_seed("Collate", seed)
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"Collate: batch_size must be at least 1, got {batch_size}")
        self._policy = transform if isinstance(transform, Policy) else None
        self._pipeline = transform if isinstance(transform, Pipeline) else compose(transform)
        if "mix_ratio" in self._pipeline.writes and not full:
            raise UsageError("Collate: rows are mixed, and their labels are to be too: set full=True for the mix_ratio")
        self.seed, self.layout, self.batch_size, self.full = seed, layout, batch_size, full
        self.calls = 0
        self.progress = 0.0
        self._rows = batch_size or 0
        self._jitted = jax.jit(self._augment)
        self._process = os.getpid()

    def __call__(self, batch: Any) -> Any:
        if os.getpid() != self._process:
            raise UsageError(
                "Collate: JAX must not be called in a forked worker process: set num_workers=0, or call Collate on "
                "what the loader gives in the process that trains, or use augment.Transform in the workers"
            )
        as_progress("Collate", self.progress)
        images, labels = _columns(batch)
        pixels, targets = _array(images), None if labels is None else _array(labels)
        self._check(pixels, targets)
        maps = targets is not None and targets.ndim == 3
        count = len(pixels)
        found = self._run(_filled(pixels, self._rows), _filled(targets, self._rows) if maps else None)
        if count < self._rows:
            # On the host: a cut on the device is an operation of its own, compiled for each size.
            found = jax.tree.map(lambda x: np.asarray(x)[:count], found)
        if not maps:
            found = found._replace(labels=labels if type(labels) is type(images) else targets)
        elif _framework(images) and targets is not None and targets.dtype == np.int64:
            # JAX has 32 bits; the losses of PyTorch take nothing but 64 of them.
            found = found._replace(labels=cast(Any, np.asarray(found.labels, np.int64)))
        found = Augmented(*(_like(images, x) for x in found))
        if self.full:
            return found
        return found.images if labels is None else (found.images, found.labels)

    def __reduce__(self) -> Any:
        raise UsageError(
            "Collate: runs in the process that trains, so that it cannot be sent to spawned workers: set "
            "num_workers=0, or call Collate on what the loader gives, or use augment.Transform in the workers"
        )

    def _check(self, pixels: Any, targets: Any) -> None:
        shape, last = pixels.shape, self.layout == "NHWC"
        if pixels.dtype != np.uint8:
            raise UsageError(
                f"Collate: images must be uint8 on the 0..255 scale, got {pixels.dtype}: leave out what makes floats "
                "of them (torchvision: PILToTensor instead of ToTensor), and normalize with compose(mean=, std=)"
            )
        if len(shape) == 4 and shape[3 if last else 1] not in CHANNELS and shape[1 if last else 3] in CHANNELS:
            other = LAYOUTS[last]
            raise UsageError(f'Collate: images of shape {shape} are not {self.layout}: say layout="{other}"')
        check_images("Collate", pixels if last else _moved(pixels, (0, 2, 3, 1)))
        if targets is not None and (targets.ndim < 1 or len(targets) != len(pixels)):
            raise UsageError(f"Collate: there are {len(pixels)} images, but labels of shape {targets.shape}")
        if self.batch_size is not None and len(pixels) > self.batch_size:
            raise UsageError(f"Collate: batch_size is {self.batch_size}, but a batch has {len(pixels)} rows")
        self._rows = max(self._rows, len(pixels))

    def _run(self, pixels: Any, maps: Any) -> Augmented:
        key = jax.random.fold_in(jax.random.key(self.seed), self.calls)
        self.calls += 1
        if self._policy is None or maps is not None:
            return self._jitted(key, pixels, maps, np.float32(self.progress))
        # Not jitted as a whole: on a CPU it spreads the batch over the cores.
        first = self.layout == "NCHW"
        images, visible = apply_policy(key, _moved(pixels, (0, 2, 3, 1)) if first else pixels, self._policy)
        return Augmented(_moved(images, (0, 3, 1, 2)) if first else images, None, visible, None)

    def _augment(self, key: jax.Array, pixels: jax.Array, maps: jax.Array | None, progress: jax.Array) -> Augmented:
        first = self.layout == "NCHW"
        pixels = pixels.transpose(0, 2, 3, 1) if first else pixels
        found = self._pipeline(key, pixels, maps, progress=progress)
        return found._replace(images=found.images.transpose(0, 3, 1, 2)) if first else found


def _columns(batch: Any) -> tuple[Any, Any]:
    """(images, labels or None), samples stacked."""
    if not isinstance(batch, Sequence) or not len(batch):
        return batch, None
    if getattr(batch[0], "ndim", 0) == 4:
        if len(batch) > 2:
            raise UsageError(f"Collate: a batch is (images, labels) or images alone, got {len(batch)} arrays")
        return batch[0], batch[1] if len(batch) == 2 else None
    if not isinstance(batch[0], Sequence):
        return _stacked(batch), None
    if any(len(sample) != 2 for sample in batch):
        raise UsageError("Collate: a sample is (image, label), or an image alone")
    images, labels = zip(*batch, strict=True)
    return _stacked(images), _stacked(labels)


def _stacked(samples: Sequence[Any]) -> Any:
    """One array of samples, of torch's or TensorFlow's if these are tensors."""
    return _like(samples[0], np.stack([np.asarray(_array(one)) for one in samples]))


def _framework(array: Any) -> str:
    module = type(array).__module__.split(".")[0]
    return module if module in _FRAMEWORKS else ""


def _array(array: Any) -> Any:
    """A tensor as an array of NumPy, an array of JAX as it is."""
    if _framework(array) == "torch":
        return array.detach().cpu().numpy()
    return array if isinstance(array, jax.Array) else np.asarray(array)


def _like(example: Any, array: Any) -> Any:
    """The array as a tensor, if the example is one: of the same library and on the same device."""
    framework = _framework(example)
    if array is None or (framework and _framework(array) == framework):
        return array
    if framework == "torch":
        return sys.modules["torch"].from_numpy(np.array(array)).to(example.device)
    if framework == "tensorflow":
        return sys.modules["tensorflow"].convert_to_tensor(np.asarray(array))
    # `jnp.asarray` compiles a copy for each shape.
    return jax.device_put(array)


def _filled(array: Any, rows: int) -> Any:
    """The array with its last row repeated up to `rows`.

    The last one, because transforms that mix give it to row 0: what row 0 is mixed with then keeps its label.
    """
    missing = rows - len(array)
    if not missing or not len(array):
        return array
    array = np.asarray(array)
    return np.concatenate([array, np.broadcast_to(array[-1:], (missing, *array.shape[1:]))])


def _moved(array: Any, axes: tuple[int, ...]) -> Any:
    return array.transpose(axes) if isinstance(array, jax.Array) else np.ascontiguousarray(np.transpose(array, axes))
