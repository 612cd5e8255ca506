"""One of K classes for each pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.maps import resize_bilinear
from jaxaug.core.registry import register
from jaxaug.core.totals import Sums, Totals
from jaxaug.core.types import Batch, LossInputs, ModelOutput, Progress, Tree
from jaxaug.data.dataset import Dataset
from jaxaug.losses.base import at_least_float32, has_class
from jaxaug.tasks.base import ShownMetric

# Counts are kept in two int32 numbers, of units of 4,096 pixels and of what is left: exact up to 8 * 10^12 pixels.
UNIT = 4096
Predict = Callable[[jax.Array], ModelOutput]  # normalised images [B H W C] -> what the model says of them


@register("task", "segmentation")
class Segmentation:
    """Mean and per-class intersection over union of label maps, pixels without a label aside.

    Every pixel is an example to the losses; logits are brought to the size of the images, bilinearly. Figures are of
    one confusion matrix over all pixels of a split: IoU = right / (labelled so + predicted so - right), the mean over
    the classes that have either.

    Args:
      scales: in evaluations the image is looked at in these sizes, and the probabilities are averaged.
      flip: and mirrored, too.
      window: rows and columns of a window that slides over the image, as a network trained on crops may want it; () for
        the whole image at once. Where windows overlap, probabilities are averaged.
      overlap: the share of a window that the next one covers at least, in [0, 1).

    Raises:
      UsageError: options out of range.
    """

    metric = "miou"
    reads = frozenset({"label", "visibility"})
    shown_metrics = (
        ShownMetric("miou", "mIoU %", 100, 2),
        ShownMetric("pixel_accuracy", "pixel accuracy %", 100, 2),
        ShownMetric("class_accuracy", "mean class accuracy %", 100, 2),
    )

    def __init__(
        self,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
        window: tuple[int, ...] = (),
        overlap: float = 1 / 3,
    ):
        if not scales or min(scales) <= 0 or len(window) not in (0, 2) or not 0 <= overlap < 1:
            raise UsageError(
                f"segmentation: scales must be above 0, window two sides or (), and overlap in [0, 1), got {scales}, "
                f"{window} and {overlap}"
            )
        self._scales, self._flip, self._window, self._overlap = tuple(scales), flip, tuple(window), overlap
        self._names: tuple[str, ...] = ()

    def check(self, data: Dataset) -> None:
        """Raises UsageError for labels of whole images."""
        if data.train.label.ndim != 3:
            raise UsageError(f"segmentation: {data.name} has one label for each image, label maps are needed")
        self._names = data.class_names

    def loss_inputs(self, output: ModelOutput, batch: Batch, meta: Tree, progress: Progress) -> LossInputs:
        """Pixels as rows [P] = [B H W], one-hot targets, weight 1; `output` keeps its maps, `batch.image` its shape."""
        output, shape, num_classes = at_least_float32(output), batch.label.shape, output.logits.shape[-1]
        logits = resize_bilinear(output.logits, shape[1:]).reshape(-1, num_classes)
        label = jnp.where(has_class(batch.label, num_classes), batch.label, -1).reshape(-1)
        pixels = shape[1] * shape[2]
        visibility = None if batch.visibility is None else batch.visibility.reshape(-1, 1, 1)
        batch = batch.replace(
            label=label,
            visibility=visibility,
            per_example=jax.tree.map(lambda x: jnp.repeat(x, pixels, axis=0), batch.per_example),
        )
        targets, weight = jax.nn.one_hot(label, num_classes, dtype=logits.dtype), (label >= 0).astype(logits.dtype)
        return LossInputs(logits, targets, weight, jnp.zeros_like(weight), output, batch, meta, progress)

    def train_sums(self, output: ModelOutput, batch: Batch) -> Sums:
        """The accuracy of the coarse maps, each pixel against the label at its place."""
        rows, columns = output.logits.shape[1:3]
        height, width = batch.label.shape[1:]
        label = batch.label[:, (jnp.arange(rows) * height // rows)[:, None], jnp.arange(columns) * width // columns]
        known = has_class(label, output.logits.shape[-1])
        right = known & (self.predict(output) == label)
        return {"pixel_accuracy": (jnp.sum(right), jnp.sum(known))}

    def evaluated(self, predict: Predict, image: jax.Array) -> ModelOutput:
        """What is said of images [B H W C] in an evaluation: of all scales, mirrored images and windows together."""
        if self._scales == (1.0,) and not self._flip and not self._window:
            return predict(image)
        size = image.shape[1:3]
        total = jnp.zeros(())
        for scale in self._scales:
            scaled = resize_bilinear(image, (round(size[0] * scale), round(size[1] * scale)))
            for mirrored in (False, True)[: 1 + self._flip]:
                found = self._probability(predict, scaled[:, :, ::-1] if mirrored else scaled)
                total = total + resize_bilinear(found[:, :, ::-1] if mirrored else found, size)
        head = jax.eval_shape(predict, image)
        logits = jnp.log(total / (len(self._scales) * (1 + self._flip)))
        kernel, bias = (jnp.zeros(x.shape, x.dtype) for x in (head.kernel, head.bias))
        return ModelOutput(jnp.zeros((*logits.shape[:-1], 0)), logits, kernel, bias)

    def _probability(self, predict: Predict, image: jax.Array) -> jax.Array:
        """[B H W K] of the whole image, or of windows that slide over it."""

        def of(image: jax.Array) -> jax.Array:
            logits = resize_bilinear(predict(image).logits.astype(jnp.float32), image.shape[1:3])
            return jax.nn.softmax(logits, axis=-1)

        size = image.shape[1:3]
        if not self._window:
            return of(image)
        sides = tuple(min(side, whole) for side, whole in zip(self._window, size, strict=True))
        corners = [
            (top, left)
            for top in _starts(size[0], sides[0], self._overlap)
            for left in _starts(size[1], sides[1], self._overlap)
        ]
        seen = np.zeros((*size, 1), np.float32)
        for top, left in corners:
            seen[top : top + sides[0], left : left + sides[1]] += 1

        def add(total: jax.Array, corner: jax.Array) -> tuple[jax.Array, None]:
            at = (0, corner[0], corner[1], 0)
            part = of(jax.lax.dynamic_slice(image, at, (len(image), *sides, image.shape[3])))
            before = jax.lax.dynamic_slice(total, at, part.shape)
            return jax.lax.dynamic_update_slice(total, before + part, at), None

        classes = jax.eval_shape(of, image).shape[-1]
        total = jax.lax.scan(add, jnp.zeros((len(image), *size, classes)), jnp.asarray(corners))[0]
        return total / seen

    def eval_sums(self, output: ModelOutput, batch: Batch) -> Sums:
        """The confusion matrix [K K] of the pixels, labels in rows, in units of 4,096 pixels and the rest."""
        num_classes = output.logits.shape[-1]
        logits = resize_bilinear(at_least_float32(output.logits), batch.label.shape[1:])
        found = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        known = has_class(batch.label, num_classes)
        cell = jnp.where(known, batch.label, 0) * num_classes + found
        count = jnp.zeros(num_classes**2, jnp.int32).at[cell.reshape(-1)].add(known.reshape(-1).astype(jnp.int32))
        matrix = count.reshape(num_classes, num_classes)
        return {"confusion": (jnp.stack([matrix // UNIT, matrix % UNIT]), jnp.ones((), jnp.int32))}

    def summarize(self, totals: Totals) -> dict[str, float]:
        """miou; pixel_accuracy, the share of pixels that are right; class_accuracy, its mean over the classes."""
        found = totals.means()
        if "confusion" in totals.sums:
            matrix = confusion_of(totals)
            right, given = np.diag(matrix), matrix.sum(axis=1)
            found["miou"] = float(np.nanmean(class_iou(matrix))) if matrix.any() else 0.0
            found["pixel_accuracy"] = float(right.sum() / max(matrix.sum(), 1))
            found["class_accuracy"] = float(np.mean((right / np.maximum(given, 1))[given > 0])) if given.any() else 0.0
        return found

    def diagrams(self, totals: Totals) -> dict[str, Any]:
        """{"class_iou": {name: IoU, None for a class that neither labels nor predictions have}}."""
        found = class_iou(confusion_of(totals))
        names = self._names or tuple(map(str, range(len(found))))
        return {"class_iou": {n: None if np.isnan(x) else float(x) for n, x in zip(names, found, strict=True)}}

    def predict(self, output: ModelOutput) -> jax.Array:
        """[B h w] int32: the class with the largest logit, at the size of the output."""
        return jnp.argmax(output.logits, axis=-1).astype(jnp.int32)


def confusion_of(totals: Totals) -> np.ndarray:
    """The confusion matrix int64 [K K] of the sums over a split, labels in rows."""
    high, low = np.asarray(totals.sums["confusion"][0], np.int64)
    return high * UNIT + low


def class_iou(confusion: np.ndarray) -> np.ndarray:
    """[K] float64: the intersection over the union of each class, NaN for one that neither side has."""
    right = np.diag(confusion).astype(np.float64)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    return np.where(union > 0, right / np.maximum(union, 1), np.nan)


def _starts(whole: int, side: int, overlap: float) -> list[int]:
    """Where windows of a side begin, the last one at the end, evenly so that they overlap by at least that share."""
    if whole <= side:
        return [0]
    count = int(np.ceil((whole - side) / max(side * (1 - overlap), 1))) + 1
    return [round(i * (whole - side) / (count - 1)) for i in range(count)]
