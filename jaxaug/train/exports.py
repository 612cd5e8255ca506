"""What a run has learned about each training row, written down.

`per_example.npz` in the run's folder, rows in the order of the training split:

    index, given     int32 [N]       the row's stable number and the label it has
    clean            int32 [N]       its true label, where labels were changed on purpose
    says, says_given, says_share     the model's prediction without augmentation: its class, the probability of the
                                     given class and that of the largest
    ...              [N ...]         what loss transforms and learned augmentations tell (`LossTransform.results`,
                                     `LearnedTransform.results`): weight, soft, soft_given, soft_share, logits, ...

`learned.npz` beside it has the numbers themselves, from which the search "learned" takes them (`search/learned.py`).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.bilevel.per_example import gather_rows
from jaxaug.core.atomic_io import write_npz
from jaxaug.core.sharding import is_main_process, replicated
from jaxaug.core.types import Batch, MetaParams, ModelOutput, TrainState, Tree
from jaxaug.data.loader import Loader, RowSource
from jaxaug.label_errors.report import write_report
from jaxaug.runs.workdir import PER_EXAMPLE, Workdir
from jaxaug.search.learned import FILE, learned_arrays
from jaxaug.train.experiment import Experiment
from jaxaug.train.step import batch_of


def export_per_example(experiment: Experiment, state: TrainState, loader: Loader, folder: Workdir) -> None:
    """Write `learned.npz` where something was learned; where rows have something of their own `per_example.npz` and, if
    the config asks for it, the list of rows that are probably labelled wrongly.

    loader: of the training rows. Every process must ask together.
    """
    if not (state.meta.per_example or state.meta.shared):
        return
    if state.meta.per_example:
        found, own = per_example_results(experiment, state, loader)
    else:
        found, own = {"index": np.zeros(0, np.int32)}, {}
    if not is_main_process():
        return
    # What all rows share lies on every process, what is a row's own was gathered.
    meta = MetaParams(own, jax.device_get(state.meta.shared))
    write_npz(folder.path / FILE, learned_arrays(meta, found["index"]))
    if own:
        write_npz(folder.path / PER_EXAMPLE, found)
        if experiment.config.label_issues:
            write_report(folder.path, found, experiment.data, experiment.config.label_issues)


def per_example_results(
    experiment: Experiment, state: TrainState, loader: Loader
) -> tuple[dict[str, np.ndarray], dict[str, Tree]]:
    """(the arrays of `per_example.npz`, what was learned itself, `MetaParams.per_example` in the order of the rows).

    loader: of the training rows. Every process must ask together.
    """
    rule = experiment.search.rule if experiment.search else None

    def step(state: TrainState, rows: RowSource) -> tuple[dict[str, jax.Array], dict[str, Tree]]:
        batch = batch_of(*rows)
        meta = gather_rows(rule, state.meta, state.search_state, batch.index)[0]
        found = judged(experiment.predict(state, batch), batch)
        return found | _learned(experiment, meta, batch), meta.per_example

    jitted = jax.jit(step, out_shardings=replicated(experiment.mesh))
    parts = [jax.device_get(jitted(state, rows)) for rows in loader.whole(experiment.config.eval_batch_size)]
    data = experiment.data
    found, own = jax.tree.map(lambda *x: np.concatenate(x)[: len(data.train)], *parts)
    return (found if data.clean_label is None else {**found, "clean": data.clean_label}), own


def judged(output: ModelOutput, batch: Batch) -> dict[str, jax.Array]:
    """What a network says of rows with one label each: index, given, says, says_given and says_share, see above."""
    probability = jax.nn.softmax(output.logits)
    says = jnp.argmax(probability, axis=1).astype(jnp.int32)
    of_given = jnp.take_along_axis(probability, jnp.maximum(batch.label, 0)[:, None], axis=1)[:, 0]
    found = {"index": batch.index, "given": batch.label}
    return found | {"says": says, "says_given": of_given, "says_share": jnp.max(probability, axis=1)}


def _learned(experiment: Experiment, meta: MetaParams, batch: Batch) -> dict[str, jax.Array]:
    """What transforms tell of the rows."""
    found: dict[str, jax.Array] = {}
    for source in (experiment.chain, experiment.learned):
        if source is not None and source.results is not None:
            found |= source.results(meta, batch.label, experiment.data.num_classes)
    return found
