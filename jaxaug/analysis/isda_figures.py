"""What ISDA does in a trained network, as pictures: `jaxaug plots --isda RUN`.

`isda_spectra.png`, the covariance spectra of classes; `isda_nearest.png`, the nearest real images along their leading
directions; `isda_inverted.png`, images whose features are moved along them; `isda_directions.npz`, the numbers. Of a
run with label maps the features are those of pixels, and a picture is what surrounds one. Any run has directions; one
with ISDA also has what its loss has learned of them, and covariances are full or diagonal as its loss has them.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug import viz
from jaxaug.analysis.class_directions import (
    Directions,
    Seen,
    directions_of,
    look,
    nearest,
    statistics_of_run,
)
from jaxaug.analysis.feature_inversion import invert_features
from jaxaug.analysis.run_figures import RunFigures
from jaxaug.core.atomic_io import write_npz
from jaxaug.core.errors import UsageError
from jaxaug.core.maps import resize_nearest
from jaxaug.core.random import numpy_generator
from jaxaug.core.types import Batch, ModelOutput
from jaxaug.data.dataset import Split
from jaxaug.losses import FeatureStatistics
from jaxaug.losses._feature_statistics import init_statistics
from jaxaug.runs.checkpoint import load_part
from jaxaug.runs.mirror import checkpoints_of
from jaxaug.runs.workdir import CHECKPOINTS
from jaxaug.viz.directions import Strip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # standard deviations along a direction
ALONG = "by k standard deviations along a direction of the class"
ARRAYS = "isda_directions.npz"
PIXELS = 32  # of each image with a label map
AROUND, INVERTED = 12, 24  # pixels of a coarse map: the side of what surrounds a pixel, of what is inverted
SHIFT = 32  # of images that are inverted, the side's share by which they may move


@dataclasses.dataclass(frozen=True)
class Options:
    """What is drawn.

    Attributes:
      classes: numbers or names; () for five of them, evenly.
      directions: of each class.
      rows: of each split that are looked at, those of the chosen classes first.
      steps: of each inversion; 0 for none.
      variation: the weight of the total variation in it.

    Raises:
      UsageError: options out of range.
    """

    classes: Sequence[int | str] = ()
    directions: int = 2
    rows: int = 5000
    steps: int = 200
    variation: float = 0.2

    def __post_init__(self) -> None:
        if self.directions < 1 or self.rows < 1 or self.steps < 0 or not self.variation >= 0:
            raise UsageError(
                "directions and rows must be at least 1, steps and variation at least 0, got "
                f"{self.directions}, {self.rows}, {self.steps} and {self.variation}"
            )


def draw_isda(
    folder: str | pathlib.Path, out: str | pathlib.Path | None = None, options: Options | None = None
) -> list[str]:
    """Draw what ISDA does in a finished run, and write its directions.

    Args:
      folder: of the run.
      out: where the files go; None for the run's folder.
      options: what is drawn.

    Returns:
      The names of the files.

    Raises:
      UsageError: the folder is not that of a finished run, a class that it has not, or nothing can be written.
    """
    found, out = IsdaFigures(folder, options), pathlib.Path(out or folder)
    names = ["isda_spectra.png", "isda_nearest.png", "isda_inverted.png"][: 2 + (found.options.steps > 0)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_npz(out / ARRAYS, found.arrays())
        for name, make in zip(names, (found.spectra, found.nearest, found.inverted), strict=False):
            make().savefig(out / name, dpi=120)
    except OSError as error:
        raise UsageError(f"cannot write into {out}: {error.strerror}") from None
    return [ARRAYS, *names]


class IsdaFigures:
    """Directions of a finished run, and what lies along them; everything is computed when it is first asked for.

    Args:
      folder: of the run.
      options: what is drawn.

    Raises:
      UsageError: at once if it is not the folder of a run or has not the classes, later for what the run lacks.
    """

    def __init__(self, folder: str | pathlib.Path, options: Options | None = None):
        self.options = options or Options()
        run = RunFigures(folder)
        if run.config.task.name == "segmentation":  # what is averaged over views has no features
            run.config.task.update({"scales": (1.0,), "flip": False, "window": ()})
        self.folder, self.experiment = run.folder, run.experiment
        self.state, self.has_maps = run.state, run.has_maps
        self.data = run.experiment.data
        self.classes = _chosen(self.options.classes, self.data.class_names)
        self.names = [self.data.class_names[c] for c in self.classes]

    @functools.cached_property
    def learned(self) -> Directions | None:
        """Of the statistics that the run's loss has learned, None where it has none."""
        return None if self._of_loss is None else directions_of(self._of_loss, self.classes)

    @functools.cached_property
    def _of_loss(self) -> FeatureStatistics | None:
        losses = self.experiment.abstract_state().loss_state
        if statistics_of_run(losses) is None:
            return None
        place = checkpoints_of(self.folder, CHECKPOINTS)
        found = load_part(place, int(self.state.step), {"loss_state": losses})
        return statistics_of_run(found["loss_state"])

    @functools.cached_property
    def final(self) -> Directions:
        """Of the features that the trained network has of training rows, as it is evaluated."""
        return directions_of(self._looked[2], range(len(self.classes)))

    @functools.cached_property
    def seen(self) -> list[tuple[Split, Seen]]:
        """Training and test rows, or pixels of them."""
        return list(zip((self.data.train, self.data.test), self._looked[:2], strict=True))

    @functools.cached_property
    def _looked(self) -> tuple[Seen, Seen, Any]:
        full = self._of_loss is None or self._of_loss.covariance.ndim == 3
        begun = init_statistics(len(self.classes), self._shape[-1], full=full)
        pixels = PIXELS if self.has_maps else 1
        found = []
        for split in (self.data.train, self.data.test):
            rows = _rows(split, self.classes, max(self.options.rows // pixels, 1))
            found.append(look(self.experiment, self.state, split, rows, begun, self.classes, pixels))
        return found[0][0], found[1][0], found[0][1]

    @functools.cached_property
    def _output(self) -> Callable[[jax.Array], ModelOutput]:
        """What the network says of images [B H W C]."""

        def output(images: jax.Array) -> ModelOutput:
            none = jnp.zeros(len(images), jnp.int32)
            return self.experiment.predict(self.state, Batch(images, none, none))

        return jax.jit(output)

    @functools.cached_property
    def _shape(self) -> tuple[int, ...]:
        """Of an image's features: (D,), or (h, w, D)."""
        image = jax.ShapeDtypeStruct((1, *self.data.image_shape), jnp.float32)
        return jax.eval_shape(self._output, image).features.shape[1:]

    def arrays(self) -> dict[str, np.ndarray]:
        """What `isda_directions.npz` has: of the final network and, with "learned_" before, of the run's loss."""
        found = {"classes": np.asarray(self.classes), "class_names": np.asarray(self.names)}
        for before, one in (("", self.final), ("learned_", self.learned)):
            if one is not None:
                names = ("examples", "mean", "eigenvalues", "eigenvectors")
                found |= {before + name: np.asarray(x) for name, x in zip(names, one, strict=True)}
        return found

    def spectra(self) -> Figure:
        """The variances of the classes along their directions, of the trained network and as the loss has them."""
        named = {"trained network": self.final}
        if self.learned is not None:
            named = {"learned by ISDA's loss": self.learned, **named}
        return viz.class_spectra({name: one.variance for name, one in named.items()}, self.names)

    def nearest(self) -> Figure:
        """The real images nearest to the mean of a class and to what lies along its directions from there."""
        strips = []
        for c, name in enumerate(self.names):
            for m in range(self._directions(c)):
                points = [self._moved(self.final.mean[c], c, m, k) for k in STEPS]
                strips.append(self._strip_of_nearest(f"{name}\ndirection {m + 1}", c, points))
        return viz.picture_strips(
            strips, _heads(), "Nearest real images, from the mean of a class along its directions"
        )

    def inverted(self) -> Figure:
        """Real images whose features are moved along a direction, inverted, and what is nearest to such features."""
        strips, cells, starts, targets = [], [], [], []
        for c, name in enumerate(self.names):
            image, features, mask = self._anchor(c)
            for m in range(self._directions(c)):
                cells.append((c, name, m, features))
                starts += [image] * len(STEPS)
                targets += [np.where(mask, self._moved(features, c, m, k), features) for k in STEPS]
        # A map that is asked for would have to move with the image.
        shift = 0 if self.has_maps else min(starts[0].shape[:2]) // SHIFT
        found = self._in_batches(np.stack(targets), np.stack(starts), shift)
        captions, right = self._said(found, cells)
        for i, (c, name, m, features) in enumerate(cells):
            part = slice(i * len(STEPS), (i + 1) * len(STEPS))
            title = f"{name}\ndirection {m + 1}"
            strips.append(Strip(f"{title}\ninverted", list(found[part]), captions[part], right[part]))
            if not self.has_maps:
                points = [self._moved(features, c, m, k) for k in STEPS]
                strips.append(self._strip_of_nearest("nearest", c, points, starts[part.start]))
        return viz.picture_strips(strips, _heads(), f"Images of which the features are moved {ALONG}")

    def _directions(self, c: int) -> int:
        return min(self.options.directions, int(np.sum(self.final.variance[c] > 0)), self.final.direction.shape[1])

    def _moved(self, features: np.ndarray, c: int, m: int, k: float) -> np.ndarray:
        return features + np.float32(k * np.sqrt(self.final.variance[c, m])) * self.final.direction[c, m]

    def _strip_of_nearest(
        self, title: str, c: int, points: Sequence[np.ndarray], itself: np.ndarray | None = None
    ) -> Strip:
        """The pictures nearest to points; itself: an image that is passed over."""
        pictures, labels = [], []
        for point in points:
            found = []
            for split, seen in self.seen:
                hidden = (seen.label < 0) & self.has_maps  # what a void pixel shows is not known
                number = nearest(seen, point, hidden)
                picture = self._picture(split, seen, number)
                if itself is not None and np.array_equal(picture, itself):
                    number = nearest(seen, point, hidden | (np.arange(len(hidden)) == number))
                    picture = self._picture(split, seen, number)
                found.append((((seen.features[number] - point) ** 2).sum(), picture, int(seen.label[number])))
            _, picture, label = min(found, key=lambda one: one[0])
            pictures.append(picture)
            labels.append(label)
        own = [label == self.classes[c] for label in labels]
        named = ["no class" if label < 0 else self.data.class_names[label] for label in labels]
        return Strip(title, pictures, named, own)

    def _picture(self, split: Split, seen: Seen, number: int) -> np.ndarray:
        """An image, or what surrounds a pixel."""
        image = np.asarray(split.image[seen.row[number : number + 1]])[0]
        return _around(image, int(seen.place[number]), self._shape[:2], self._stride) if self.has_maps else image

    def _anchor(self, c: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(a typical image of a class [H W C], its features [D] or [h w D], the mask of what is moved of them)."""
        split, seen = next((s for s in reversed(self.seen) if np.any(s[1].label == self.classes[c])), self.seen[0])
        own = np.flatnonzero(seen.label == self.classes[c])
        if not len(own):
            raise UsageError(f"none of the rows that were looked at has the class {self.names[c]}: raise rows")
        if not self.has_maps:
            number = own[np.argmin(((seen.features[own] - self.final.mean[c]) ** 2).sum(1))]
            image = np.asarray(split.image[seen.row[number : number + 1]])[0]
            return image, seen.features[number], np.ones(1, bool)
        rows, often = np.unique(seen.row[own], return_counts=True)
        row = int(rows[np.argmax(often)])
        image, label = (np.asarray(x[row : row + 1]) for x in (split.image, split.label))
        part = densest(label[0] == self.classes[c], INVERTED * self._stride)
        image, label = image[:, *part], label[:, *part]
        features = np.asarray(self._output(jnp.asarray(image, jnp.float32)).features)[0]
        mask = np.asarray(resize_nearest(jnp.asarray(label), features.shape[:2]))[0] == self.classes[c]
        return image[0], features, mask[..., None]

    @property
    def _stride(self) -> int:
        """Pixels of an image for each of its coarse map."""
        return max(-(-self.data.image_shape[0] // self._shape[0]), 1)

    def _in_batches(self, targets: np.ndarray, starts: np.ndarray, shift: int) -> np.ndarray:
        size, parts, of = self.experiment.config.eval_batch_size, [], self.options
        for at in range(0, len(targets), size):
            part = targets[at : at + size], starts[at : at + size]
            found = invert_features(
                lambda images: self._output(images).features,
                *part,
                steps=of.steps,
                variation=of.variation,
                shift=shift,
            )
            parts.append(found.images)
        return np.concatenate(parts)

    def _said(self, images: np.ndarray, cells: Sequence[Any]) -> tuple[list[str], list[bool]]:
        """What the network says of inverted images, and whether that is the class of each; nothing of label maps."""
        if self.has_maps:
            return [], []
        share = np.asarray(jax.nn.softmax(self._output(jnp.asarray(images)).logits))
        of_class = np.repeat([self.classes[cell[0]] for cell in cells], len(STEPS))
        said = share.argmax(axis=1)
        words = [f"{self.data.class_names[k]} {p:.0%}" for k, p in zip(said, share.max(axis=1), strict=True)]
        return words, list(said == of_class)


def _chosen(classes: Sequence[int | str], names: Sequence[str]) -> list[int]:
    """Numbers of classes."""
    if not classes:
        return np.unique(np.linspace(0, len(names) - 1, 5).round().astype(int)).tolist()
    found = []
    for one in classes:
        word = str(one)
        if word in names:
            found.append(list(names).index(word))
        elif word.isdigit() and int(word) < len(names):
            found.append(int(word))
        else:
            raise UsageError(f"the run has no class {word!r}: they are {', '.join(names[:20])}")
    return found


def _rows(split: Split, classes: Sequence[int], most: int) -> np.ndarray:
    """Rows to look at, in order: those of some classes first, then others, drawn at random."""
    order = numpy_generator(1).permutation(len(split))
    if split.label.ndim == 1:
        order = order[np.argsort(~np.isin(split.label[order], classes), kind="stable")]
    return np.sort(order[:most])


def densest(mask: np.ndarray, side: int) -> tuple[slice, slice]:
    """The square of a mask [H W], or what there is of it, that has the most of it."""
    sides = [min(side, whole) for whole in mask.shape]
    total = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    upper, lower = total[: -sides[0]], total[sides[0] :]
    strips = lower - upper
    inside = strips[:, sides[1] :] - strips[:, : -sides[1]]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return slice(top, top + sides[0]), slice(left, left + sides[1])


def _around(image: np.ndarray, place: int, coarse: tuple[int, ...], stride: int) -> np.ndarray:
    """The square of an image [H W C] around a pixel of its coarse map, which is marked; black beyond the border."""
    sizes = image.shape[:2]
    row, column = divmod(place, coarse[1])
    half = AROUND * stride // 2
    top, left = (round((at + 0.5) * size / cells) for at, size, cells in zip((row, column), sizes, coarse, strict=True))
    padded = np.pad(image, ((half, half), (half, half), (0, 0)))
    patch = padded[top : top + 2 * half, left : left + 2 * half].copy()
    low, high = half - max(stride // 2, 1), half + max(stride // 2, 1)
    mark = np.array([255, 0, 0][: image.shape[2]])
    for edge in (low, high - 1):
        patch[edge, low:high] = patch[low:high, edge] = mark
    return patch


def _heads() -> list[str]:
    return [f"k = {k:+g}" if k else "k = 0" for k in STEPS]
