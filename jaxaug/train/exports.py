"""What a search during the training found out: about each row its weight, soft label and augmentation; or one policy.

`policy.json` in a run's folder: the policy that all rows share (`Policy.save`), for config.augment.policy.file.
`findings.npz` in a run's folder, rows in the order of the training split:

    index, given     int32 [N]       the row's stable number and the label it has
    clean            int32 [N]       its true label, where labels were changed on purpose
    weight           float32 [N]     learned weight, 1 at the start, not normalised ("weights.learned_weights")
    soft, soft_given, soft_share     learned soft label: its largest class, the share of the given and of that class
    says, says_given, says_share     the same of the model's prediction, without augmentation
    logits, level    float32 [N S L R]  offsets of a policy per row, and of its shares
    mix              float32 [N S]      where there are several sub-policies
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment import compose
from jaxaug.bilevel.per_example import gather_rows
from jaxaug.core.atomic_io import write_npz
from jaxaug.core.sharding import is_main_process, replicated
from jaxaug.core.types import Batch, MetaParams, TrainState
from jaxaug.data.loader import Loader, RowSource
from jaxaug.label_errors.report import write_report
from jaxaug.losses import _soft_labels, _weights
from jaxaug.policies.learnable import NAME, learned_policy
from jaxaug.policies.policy import Policy
from jaxaug.runs.workdir import POLICY, Workdir
from jaxaug.train.experiment import Experiment
from jaxaug.train.step import batch_of

FILE = "findings.npz"


def export_per_example(job: Experiment, state: TrainState, feed: Loader, folder: Workdir) -> None:
    """Write `policy.json` if all rows share a policy that was searched; where rows have something of their own
    `findings.npz` and, if the config asks for it, the list of suspects. feed: of the training rows."""
    if job.search and NAME in state.meta.shared and is_main_process():
        _policy(job, state).save(folder.path / POLICY)
    if not state.meta.per_example:
        return
    found = per_example_results(job, state, feed)
    if is_main_process():
        write_npz(folder.path / FILE, found)
        if job.config.suspects:
            write_report(folder.path, found, job.data, job.config.suspects)


def per_example_results(job: Experiment, state: TrainState, feed: Loader) -> dict[str, np.ndarray]:
    """The arrays of `findings.npz`. feed: of the training rows. Every process must ask together."""
    rule = job.search.rule if job.search else None

    def step(state: TrainState, fed: RowSource) -> dict[str, jax.Array]:
        batch = batch_of(*fed)
        meta = gather_rows(rule, state.meta, state.search, batch.index)[0]
        said = _largest("says", jax.nn.softmax(job.predict(state, batch).logits), batch.label)
        return {"index": batch.index, "given": batch.label, **said, **_learned(job, meta, batch)}

    jitted = jax.jit(step, out_shardings=replicated(job.mesh))
    parts = [jax.device_get(jitted(state, fed)) for fed in feed.whole(job.config.eval_batch_size)]
    found = {name: np.concatenate([part[name] for part in parts])[: len(job.data.train)] for name in parts[0]}
    return found if job.data.clean_label is None else {**found, "clean": job.data.clean_label}


def _policy(job: Experiment, state: TrainState) -> Policy:
    part = compose.learned_transform_of(job.config.augment)
    assert part is not None
    # Fetched before it is computed with: the arrays belong to all processes, of which only one is here.
    offsets = jax.device_get(state.meta.shared[NAME])
    return jax.device_get(learned_policy(part.policy, offsets))


def _learned(job: Experiment, meta: MetaParams, batch: Batch) -> dict[str, jax.Array]:
    """What there is of the rows' own numbers."""
    found: dict[str, Any] = {}
    if "weight" in meta.per_example:
        found["weight"] = _weights.learned_weight(meta.per_example["weight"])
    if "soft" in meta.per_example:
        smoothing, basis = job.config.loss.learned_targets.smoothing, meta.shared.get("soft_basis")
        soft = _soft_labels.learned_soft_labels(
            meta.per_example["soft"], batch.label, job.data.num_classes, smoothing, basis
        )
        found |= _largest("soft", soft, batch.label)
    return found | {name: jnp.asarray(offset) for name, offset in meta.per_example.get("policy", {}).items()}


def _largest(name: str, probability: jax.Array, given: jax.Array) -> dict[str, jax.Array]:
    """The class with the largest probability [B K], and the probabilities of that and of the given class."""
    of_given = jnp.take_along_axis(probability, jnp.maximum(given, 0)[:, None], axis=1)[:, 0]
    largest = jnp.argmax(probability, axis=1).astype(jnp.int32)
    return {name: largest, f"{name}_given": of_given, f"{name}_share": jnp.max(probability, axis=1)}
