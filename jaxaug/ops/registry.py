"""What an operation is, and the decorators by which one is written.

Kinds, by what their functions return: "geometric" a displacement, "color" new pixel values, "erase" the rectangle that
disappears, "crop_resize" the box that is enlarged, "warp" a field of places.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick

VOID = -1  # a label map's value where a displacement uncovers nothing
IDENTITY = "Identity"  # the op that a policy means by "do nothing"
Kind = Literal["geometric", "color", "erase", "crop_resize", "warp"]
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True)
class Op:
    """An operation and what a policy must know of it.

    Attributes:
      name: as policies write it.
      kind: what its function returns; see the decorator of that kind.
      apply: the function.
      low: the usual range of its value begins here, in the unit named by `unit`.
      high: and ends here.
      unit: of the value, in words.
      neutral: the value that changes nothing; None for an op without a value.
      signed: geometric, so that a mirrored value is as good.
      fill: what a displacement or field uncovers, "black" or "cover" (the policy's color).
      heavy: worth skipping where no image of a batch drew it.
      smooth_value: the float32 form has the exact derivative in the value; else a straight-through one, or none.
      keeps_area: an output pixel stands for as much of the source as it covers. Resized crops never do.
      single_level: draws by chance of its own how strong it is, so that a search space has it at one level, `high`.
      channels: how many channels it can work on; () for any number.
      needs_color: changes nothing in grayscale images.
      source: where it is defined.
    """

    name: str
    kind: Kind
    apply: Callable[..., Any]
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    neutral: float | None = None
    signed: bool = False
    fill: str = "black"
    heavy: bool = False
    smooth_value: bool = True
    keeps_area: bool = True
    single_level: bool = False
    channels: tuple[int, ...] = ()
    needs_color: bool = False
    source: str = ""

    @property
    def of_value_alone(self) -> bool:
        """Whether its displacement follows from its value, without chance: the host may compute it beforehand."""
        return self.kind == "geometric" and self.has_levels and self.smooth_value

    @property
    def has_levels(self) -> bool:
        """Whether its value says how strong it is."""
        return self.neutral is not None and not self.single_level

    @property
    def gated_by_value(self) -> bool:
        """Whether a gate may act on its value, since its effect has an exact derivative there.

        A rectangle of no size has no derivative in its size, so that erasing is gated by its effect.
        """
        return self.neutral is not None and self.smooth_value and self.kind != "erase"

    @property
    def has_own_pass(self) -> bool:
        """Whether a whole batch is better off skipping it where no image drew it."""
        return self.heavy or self.kind == "warp"


class OpFacts(TypedDict, total=False):
    """The keywords of the decorators: the fields of `Op` that are not arguments."""

    unit: str
    neutral: float | None
    signed: bool
    fill: str
    heavy: bool
    smooth_value: bool
    keeps_area: bool
    single_level: bool
    channels: tuple[int, ...]
    needs_color: bool
    source: str


OPS: dict[str, Op] = {}  # filled by `definitions`, and by a user's own modules


def geometric_op(
    name: str, low: float = 0.0, high: float = 1.0, **facts: Unpack[OpFacts]
) -> Callable[[_Function], _Function]:
    """Register an affine displacement of all pixels.

    The function: (backend, value, random, height, width) -> (ax, bx, cx, ay, by, cy). The pixel at (x, y) shows what
    was at (x + ax x + bx y + cx, y + ay x + by y + cy), in pixels from the upper left corner of the image, so that a
    pixel's center lies at a half. Entries that are always 0 are the number 0.

    Args:
      name: of the op in policies.
      low: least usual value.
      high: greatest usual value.
      **facts: fields of `Op`. With a `neutral` value, and unless `smooth_value=False` or `single_level=True`, the
        function is also called in float64 with arrays of values and random=None; so set one of the two where it draws.

    Returns:
      The decorator. value: []; random: [4] uniform numbers in [0, 1).

    Raises:
      UsageError: another module has registered an op of that name.
    """
    return _register("geometric", name, low, high, facts)


def color_op(
    name: str, low: float = 0.0, high: float = 1.0, **facts: Unpack[OpFacts]
) -> Callable[[_Function], _Function]:
    """Register new pixel values: (backend, image [C H W], value []) -> image [C H W]. See `geometric_op`."""
    return _register("color", name, low, high, facts)


def erase_op(
    name: str, low: float = 0.0, high: float = 1.0, **facts: Unpack[OpFacts]
) -> Callable[[_Function], _Function]:
    """Register a rectangle that disappears under the policy's color. See `geometric_op`.

    The function: (backend, value, random, height, width) -> (top, bottom, left, right) in pixels, ends included.
    """
    return _register("erase", name, low, high, facts)


def crop_resize_op(
    name: str, low: float = 0.0, high: float = 1.0, **facts: Unpack[OpFacts]
) -> Callable[[_Function], _Function]:
    """Register a box that is enlarged to the whole image. See `geometric_op`.

    The function: (backend, value, random, height, width) -> (top, left, rows, columns) in pixels.
    """
    return _register("crop_resize", name, low, high, facts)


def warp_op(
    name: str, low: float = 0.0, high: float = 1.0, **facts: Unpack[OpFacts]
) -> Callable[[_Function], _Function]:
    """Register an arbitrary displacement field, as of a swirl or an elastic deformation. See `geometric_op`.

    The function: (backend, value, random, height, width) -> (columns, rows), each [H W] float: the place of which each
    output pixel shows what is there, counted from the center of the first pixel. `backend.grid(height, width)` gives
    the places of an image left alone, `backend.xp` the array functions. uint8 images show the nearest pixel, float32
    ones are interpolated and differentiable in the value. Unless keeps_area=True, what is visible counts with the area
    to which the field shrinks it.
    """
    facts.setdefault("keeps_area", False)
    return _register("warp", name, low, high, facts)


def find_op(name: str) -> Op:
    """The op of that name.

    Raises:
      UsageError: there is none, with the nearest valid names.
    """
    return pick("operation", name, OPS)


def list_ops(kind: str = "") -> list[str]:
    """The names of all ops, or of those of one kind, in the order in which they were registered.

    Args:
      kind: "geometric", "color", "erase", "crop_resize", "warp"; "" for all.
    """
    return [name for name, op in OPS.items() if kind in ("", op.kind)]


def check_op(name: str, shape: tuple[int, ...]) -> None:
    """Check that an op exists and can work on images [H W C] of that shape.

    Raises:
      UsageError: it does not or cannot.
    """
    op = find_op(name)
    height, width, channels = shape
    if height * width > 2**24 or max(height, width) > 2**14:
        raise UsageError(
            f"images of {height} x {width} pixels are too large for 16.16 fixed point and sums of 32 bits: make them "
            "smaller than 16,384 on a side and 16 million in all"
        )
    if op.channels and channels not in op.channels:
        *most, last = map(str, op.channels)
        wanted = f"{', '.join(most)} or {last}" if most else last
        remedy = ": leave the alpha out, images[..., :3]" if channels == 4 and 3 in op.channels else ""
        raise UsageError(f"operation {name!r} needs images with {wanted} channels, got {channels}{remedy}")


def _register(kind: Kind, name: str, low: float, high: float, facts: OpFacts) -> Callable[[_Function], _Function]:
    def add(function: _Function) -> _Function:
        there = OPS.get(name)
        # The same module again is a notebook's cell run twice, or a reload.
        if there is not None and there.apply.__module__ != function.__module__:
            raise UsageError(f"operation {name!r} exists already, in {there.apply.__module__}: choose another name")
        OPS[name] = Op(name, kind, function, low, high, **facts)
        return function

    return add
