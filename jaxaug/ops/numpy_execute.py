"""Operations on one image in NumPy alone, for worker processes: the pixels of `execute`, without a call into JAX."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.layout import check_layout
from jaxaug.ops import numpy_uint8 as backend
from jaxaug.ops.backend import Box, Six
from jaxaug.ops.bicubic import bicubic_weights
from jaxaug.ops.field import field_area
from jaxaug.ops.fixed_point import ONE, fixed_point_of
from jaxaug.ops.registry import OPS, VOID, Op, check_op, find_op

MIDDLE = (0.5, 0.5, 0.5, 0.5)
STILL: Six = (ONE, 0, ONE // 2, 0, ONE, ONE // 2)  # the coefficients that move nothing


class NumpyOp(NamedTuple):
    """An operation that was drawn for one image.

    Attributes:
      name: of the op.
      value: physical, in the op's unit; what an op without a value is given does not matter.
      random: four numbers in [0, 1), for ops with chance of their own.
    """

    name: str
    value: float = 0.0
    random: Sequence[float] = MIDDLE


class NumpySample(NamedTuple):
    """What operations leave of an image.

    Attributes:
      image: [H W C] uint8.
      label: a label map [H W], or None.
      visibility: [H W] float32, how much of the original area each pixel shows.
    """

    image: np.ndarray
    label: np.ndarray | None
    visibility: np.ndarray


def apply_numpy(
    ops: Sequence[NumpyOp | tuple],
    image: np.ndarray,
    label: np.ndarray | None = None,
    *,
    cover: tuple[float, ...] = (0.0,),
    softens: Sequence[str] = ("all",),
) -> NumpySample:
    """Apply operations one after the other to one image, without a call into JAX: safe in a forked worker process.

    The same pixels, bit for bit, as the exact form under JAX gives for values known before compiling; but for resized
    crops, whose weights are summed in another order, and for warps, where a place may fall between two pixels.

    Args:
      ops: of `NumpyOp` or tuples (name, value, random) of which the later entries may be left out.
      image: [H W C] uint8.
      label: a label map [H W] of whole numbers; -1 is written where nothing is shown. One without a sign becomes int32.
      cover: the color of what is erased and of what a crop uncovers, one number or one for each channel.
      softens: names of the ops that hide, for the visibility; ("all",) for all of them.

    Returns:
      The image, label map and visibility after them.

    Raises:
      UsageError: an unknown op, or one for other channels; another shape or dtype.
    """
    if getattr(image, "ndim", 0) != 3 or image.dtype != np.uint8:
        got = f"{getattr(image, 'dtype', type(image).__name__)} of shape {np.shape(image)}"
        raise UsageError(f"apply_numpy: image must be uint8 [H W C], got {got}")
    check_layout("apply_numpy", image.shape)
    label = None if label is None else _checked_map(label, image.shape[:2])
    planes, size, steps = np.moveaxis(image, -1, 0), image.shape[:2], []
    for one in ops:
        name, value, random = NumpyOp(*one)
        check_op(name, image.shape)
        op, chance = find_op(name), np.asarray(random, np.float32)
        place = _place(op, float(value), chance, *size)
        planes = _image_after(op, float(value), chance, place, planes, cover)
        if label is not None and (place.field or place.coefficients):
            label = backend.take(label, place.found(*size), VOID)
        steps.append((op, place))
    counted = OPS if tuple(softens) == ("all",) else {find_op(name).name for name in softens}
    visibility = _visibility(steps, counted, size)
    return NumpySample(np.ascontiguousarray(np.moveaxis(planes, 0, -1)), label, visibility)


def _checked_map(label: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A label map that -1 can be written in."""
    if np.shape(label) != size or np.asarray(label).dtype.kind not in "iu":
        got = f"{getattr(label, 'dtype', type(label).__name__)} of shape {np.shape(label)}"
        raise UsageError(f"apply_numpy: label must be whole numbers {list(size)} as the image, got {got}")
    return np.asarray(label, np.int32) if np.asarray(label).dtype.kind == "u" else np.asarray(label)


class _Place(NamedTuple):
    """What an op does to places: coefficients of `backend.source`, a field, or neither; and the box that it erases."""

    coefficients: Six | None = None
    field: tuple[np.ndarray, np.ndarray] | None = None
    box: Box | None = None

    def found(self, height: int, width: int) -> tuple[np.ndarray, ...]:
        """What `backend.take` takes."""
        if self.field is not None:
            return backend.located(*self.field, height, width)
        return backend.where_from(self.coefficients or STILL, height, width)


def _place(op: Op, value: float, random: np.ndarray, height: int, width: int) -> _Place:
    single = np.float32(value)
    if op.kind == "erase":
        return _Place(box=op.apply(backend, single, random, height, width))
    if op.kind == "warp":
        columns, rows = op.apply(backend, single, random, height, width)
        return _Place(field=(np.broadcast_to(columns, (height, width)), np.broadcast_to(rows, (height, width))))
    if op.kind == "crop_resize":
        top, left, rows, columns = op.apply(backend, single, random, height, width)
        return _Place(backend.fixed((columns / width - 1.0, 0.0, left, 0.0, rows / height - 1.0, top)))
    if op.kind == "geometric" and op.of_value_alone:
        a, b, c, d, e, f = fixed_point_of(op, np.asarray([value]), height, width)[0]
        return _Place((a, b, c, d, e, f))
    if op.kind == "geometric":
        return _Place(backend.fixed(op.apply(backend, single, random, height, width)))
    return _Place()


def _image_after(
    op: Op, value: float, random: np.ndarray, place: _Place, planes: np.ndarray, cover: tuple[float, ...]
) -> np.ndarray:
    """[C H W] uint8."""
    channels, height, width = planes.shape
    if op.kind == "color":
        return np.asarray(op.apply(backend, planes, np.float32(value)), np.uint8)
    if place.box is not None:
        amount = backend.covered(place.box, *backend.grid(height, width))
        return backend.cover(planes, amount, backend.cover_color(cover, channels)[:, None, None])
    if op.kind == "crop_resize":
        return _resized(planes, op.apply(backend, np.float32(value), random, height, width))
    fill = backend.cover_color(cover, channels) if op.fill == "cover" else np.zeros(channels)
    found = place.found(height, width)
    return np.stack([backend.take(plane, found, uncovered) for plane, uncovered in zip(planes, fill, strict=True)])


def _resized(planes: np.ndarray, box: Box) -> np.ndarray:
    """The box (top, left, rows, columns) as the whole image, by antialiased bicubic weights."""
    top, left, rows, columns = box
    down = bicubic_weights(planes.shape[1], top, rows, np, np.float32)
    across = bicubic_weights(planes.shape[2], left, columns, np, np.float32)
    wide = backend.rounded(planes.astype(np.float32) @ across.T)
    return backend.rounded(down @ wide.astype(np.float32))


def _visibility(steps: list[tuple[Op, _Place]], counted: Collection[str], size: tuple[int, int]) -> np.ndarray:
    """[H W] float32: every pixel followed back through the ops; see `warp.visibility_after`."""
    height, width = size
    x, y = backend.grid(height, width)
    visibility: np.ndarray = np.ones(size, np.float32)
    resizes = any(not _keeps_area(op) for op, _ in steps if op.name in counted)
    for op, place in reversed(steps):
        counts = op.name in counted
        if place.box is not None and counts:
            visibility = visibility * (1.0 - backend.covered(place.box, x, y))
        if place.field is None and place.coefficients is None:
            continue
        if counts and resizes:
            visibility = visibility * _area(op, place, (y, x))
        if place.field is not None:
            x, y = backend.stepped(*(plane[y, x] for plane in place.field))
        elif place.coefficients is not None:
            x, y = backend.source(place.coefficients, x, y)
        if counts:
            visibility = visibility * backend.inside(x, y, height, width)
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    return visibility.astype(np.float32)


def _keeps_area(op: Op) -> bool:
    return op.keeps_area and op.kind != "crop_resize"


def _area(op: Op, place: _Place, here: tuple[np.ndarray, np.ndarray]) -> np.ndarray | float:
    if place.field is not None:
        return 1.0 if op.keeps_area else field_area(*place.field, np)[here]
    return 1.0 if place.coefficients is None else backend.area(place.coefficients)
