"""A policy as a part of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxaug.augment import presets
from jaxaug.augment.draws import draw, known
from jaxaug.augment.exact import rounded
from jaxaug.augment.executors import execute
from jaxaug.augment.geometry import mass_after
from jaxaug.augment.learned import tuned
from jaxaug.augment.ops import OPS, check, find_op
from jaxaug.augment.parts import Part, mass_of
from jaxaug.augment.policies import Array, Policy
from jaxaug.augment.records import Draw, Sample, Settings
from jaxaug.errors import UsageError
from jaxaug.types import Batch, Progress, Tree

SCHEDULERS = ("auto", "map", "fused")
BORDERS = ("fill", "edge")
ALL = ("all",)


def policy(
    preset: str = "randaugment",
    layers: int = 2,
    magnitude: int = 9,
    file: str = "",
    exact: bool = True,
    softens: tuple[str, ...] = (),
    scheduler: str = "auto",
    learned: str = "",
    border: str = "fill",
) -> Part:
    """Augment by a policy: a preset (`presets.every`), or one saved as JSON in `file`.

    layers, magnitude: of the presets that have them. exact: PIL's uint8 numbers, else differentiable float32. softens:
    names of the ops whose moves and cutouts count as hidden in Batch.mass, or ("all",). scheduler: "map" (image by
    image, the default on one CPU device), "fused" (the default elsewhere) or "auto". learned: "shared" or "per_row", a
    `TunedPart` whose probabilities and levels a search may change (`learned.learned_policy`; exact=False). border:
    "fill" what moves uncover with the policy's colour, or repeat the nearest pixel ("edge"; exact=False).
    Raises UsageError for words that are none of these, and for what exact numbers cannot do.
    """
    found = Policy.load(file) if file else presets.named(preset, layers, magnitude)
    settings, counted = settings_of(found, exact, scheduler, border), softening(softens)
    if learned and exact:
        raise UsageError("augment 'policy.policy': exact numbers have no derivatives; set exact=False with learned")

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        return augmented(key, batch, found, settings, counted)

    def relaxed(key: jax.Array, batch: Batch, policy: Policy, rows: jax.Array) -> Batch:
        return augmented(key, batch, policy, settings, counted, rows)

    if learned:
        return tuned("policy.policy", found, learned, relaxed)
    return part


def settings_of(policy: Policy, exact: bool, scheduler: str, border: str = "fill") -> Settings:
    """The settings with which a policy is executed. Raises UsageError for an unknown scheduler or border, and for
    border="edge" with exact numbers."""
    if scheduler not in SCHEDULERS:
        raise UsageError(f"scheduler must be one of {SCHEDULERS}, got {scheduler!r}")
    if border not in BORDERS:
        raise UsageError(f"border must be one of {BORDERS}, got {border!r}")
    if border == "edge" and exact:
        raise UsageError('border "edge" needs exact=False: PIL fills what a move uncovers')
    if scheduler == "auto":
        scheduler = "map" if jax.default_backend() == "cpu" and jax.device_count() == 1 else "fused"
    return Settings(policy.names, policy.cover, exact, scheduler, border)


def softening(names: Sequence[str]) -> tuple[str, ...]:
    """The ops named, all of them for ("all",). Raises UsageError for unknown ones."""
    return tuple(OPS) if tuple(names) == ALL else tuple(find_op(name).name for name in names)


def augmented(
    key: jax.Array,
    batch: Batch,
    policy: Policy,
    settings: Settings,
    softens: tuple[str, ...] = (),
    rows: jax.Array | None = None,
) -> Batch:
    """The batch [B H W C] on the 0..255 scale after one draw of the policy for each row.

    rows [B]: those of a policy that is learned, drawn with derivatives (None: one that is not).
    """
    height, width = batch.image.shape[1:3]
    if rows is None:
        drawn = draw(key, policy, batch.index, known(policy, height, width) if settings.exact else None)
    else:
        drawn = draw(key, policy, rows, relaxed=True)
    return carried_out(drawn, batch, settings, softens)


def carried_out(drawn: Draw, batch: Batch, settings: Settings, softens: tuple[str, ...] = ()) -> Batch:
    """The batch [B H W C] after draw [B L]; softens: the ops that hide, for `Batch.mass`."""
    height, width, channels = batch.image.shape[1:]
    for name in settings.names:
        check(name, (height, width, channels))
    label = batch.label if batch.label.ndim == 3 else None
    sample = execute(settings, drawn, begin(batch.image, settings, label))
    if softens or (batch.mass is not None and batch.mix is None):
        mass = mass_after(settings, drawn, softens, (channels, height, width), mass_of(batch))
        batch = batch.replace(mass=mass)
    batch = batch if label is None else batch.replace(label=sample.label)
    return batch.replace(image=sample.image.transpose(0, 2, 3, 1))


def begin(images: Array, settings: Settings, label: jax.Array | None = None) -> Sample:
    """Images [B H W C] as a sample, in the dtype that the numbers want."""
    images = jnp.asarray(images)
    if settings.exact and images.dtype != jnp.uint8:
        images = rounded(images)
    images = images.astype(jnp.uint8 if settings.exact else jnp.float32)
    # Plane by plane: on CPUs half the time of a transpose.
    return Sample(jnp.stack([images[..., c] for c in range(images.shape[3])], axis=1), label)
