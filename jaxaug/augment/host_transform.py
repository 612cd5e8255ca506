"""A policy on one image at a time, on the host, for the worker processes of other people's data loaders."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import sys
from typing import Any

import jax
import numpy as np
from PIL import Image

from jaxaug import policies
from jaxaug.core.arguments import refuse_tensors
from jaxaug.core.errors import UsageError
from jaxaug.policies.policy import Policy, check_policy

MODES = ("L", "RGB")  # of PIL images


class Transform:
    """Augment one image at a time, on the host and without a call into JAX: safe in forked and spawned workers.

        dataset = torchvision.datasets.CIFAR10(root, transform=augment.Transform(policy))

    A PIL image gives a PIL image, an array [H W C] or [H W] uint8 an array of its shape. Random numbers come from a
    generator that is handed over (`transform(image, rng=rng)`, as grain does), else from the transform's own: in the
    process that made it they follow from the seed and the number of the call; in each worker process they are others,
    and others again in each epoch, and follow from the seed and from what the loader seeded the worker with
    (torch.manual_seed in the main process, else the worker's `random`).

    In a forked worker this may be called, `policies.apply_numpy` and `ops.apply_numpy`; all else calls JAX, and hangs.
    Workers that are to call it are started anew, with multiprocessing_context="spawn": docs/augment.md says how.

    Args:
      policy: what may happen to an image.
      seed: of the random numbers, at least 0; two transforms in one pipeline want two seeds.
      visible: give (image, visible) with the share in 0..1 of the image that is still seen, for soft targets.

    Raises:
      UsageError: something else than a policy, a negative seed; and, when called, images of another type or mode.
    """

    def __init__(self, policy: Policy, *, seed: int = 0, visible: bool = False) -> None:
        check_policy("Transform", policy)
        if seed < 0:
            raise UsageError(f"Transform: seed must be at least 0, got {seed}")
        self.policy: Policy = jax.tree.map(np.asarray, policy)  # a worker must not find arrays on a device
        self.seed = seed
        self.visible = visible
        self._home = None if multiprocessing.parent_process() else os.getpid()
        self._streams: dict[int, tuple[Any, itertools.count]] = {}  # of each process that it came to by a fork

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        pixels = _pixels(image)
        planes = pixels[..., None] if pixels.ndim == 2 else pixels
        after, visible = policies.apply_numpy(self.policy, self._generator() if rng is None else rng, planes)
        after = after.reshape(pixels.shape)
        result = Image.fromarray(after) if isinstance(image, Image.Image) else after
        return (result, visible) if self.visible else result

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_streams": {}}

    def __repr__(self) -> str:
        return f"Transform({', '.join(self.policy.names)}, seed={self.seed})"

    def _generator(self) -> np.random.Generator:
        """One for each call, so that threads share nothing but a counter."""
        process = os.getpid()
        if process not in self._streams:
            self._streams.setdefault(process, (self._entropy(process), itertools.count()))
        entropy, number = self._streams[process]
        return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(next(number),)))

    def _entropy(self, process: int) -> list[int]:
        if process == self._home:
            return [self.seed]
        info = sys.modules["torch.utils.data"].get_worker_info() if "torch.utils.data" in sys.modules else None
        # Python seeds `random` anew after each fork.
        own = [info.seed] if info is not None else [int(word) for word in random.getstate()[1]]
        return [int(word) for word in np.random.SeedSequence([self.seed, *own]).generate_state(4)]


def _pixels(image: Any) -> np.ndarray:
    """The uint8 pixels of an image, [H W C] or [H W]."""
    refuse_tensors("Transform", "image", image)
    if isinstance(image, Image.Image) and image.mode not in MODES:
        raise UsageError(
            f'Transform: the image must have mode "L" or "RGB", got {image.mode!r}: use image.convert("RGB")'
        )
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise UsageError(
            f"Transform: the image must be a PIL image or uint8 [H W C] or [H W], got {pixels.dtype} of shape "
            f"{pixels.shape}: put it before what makes tensors or floats of images"
        )
    return pixels
