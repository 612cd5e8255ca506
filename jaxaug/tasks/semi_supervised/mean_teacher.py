"""Mean Teacher (Tarvainen and Valpola, NeurIPS 2017).

    loss = -1/|B| sum_{labelled} log z_i[y_i] + w(t) 1/(K |B|) sum_B |z_i - teacher_i|^2
    teacher's parameters <- a teacher's + (1 - a) student's   after each step,  a = min(1 - 1/(t + 1), decay)

t counts the optimiser's steps, this one included.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.core.types import TrainState, Tree
from jaxaug.tasks.averaged import Averaged
from jaxaug.tasks.semi_supervised.base import ConsistencyMethod, Terms, TrainingStep, squared_distance


@register("task", "mean_teacher")
@dataclasses.dataclass(eq=False)
class MeanTeacher(Averaged, ConsistencyMethod):
    """Every row should be given the probabilities of a teacher, whose parameters are an average; it is evaluated.

    Args:
      unlabelled_batch_size: rows without a label in a step, beside the `batch_size` labelled ones.
      epoch_of: the stream whose rows an epoch goes through once, "unlabelled" or "labelled".
      weight: of the consistency when it is full, 0 or more (as released: 100).
      ramp_up: epochs in which the weight rises as exp(-5 (1 - t)^2); 0: it is full at once.
      ramp_by: t counts completed epochs ("epoch", as its code for PyTorch) or their fractions ("step", for TensorFlow).
      supervised_over: the cross-entropy is divided by all rows of the "batch" (as released), or by the "labelled" ones.
      pseudo_weight: of the chain of losses on unlabelled rows with the teacher's likeliest class; 0 or more.
      isda_weight: of ISDA's consistency on unlabelled rows (`losses.isda_consistency`), which needs the loss "isda".
      isda_strength: lambda_0 of that; it grows with the steps.
      decay: the share of the teacher that a step keeps, in [0, 1).
    """

    weight: float = 100.0
    ramp_up: float = 5.0
    ramp_by: str = "step"

    def after_plain(self, task_state: Tree, model_state: Tree) -> Tree:
        """The teacher has seen nothing; its statistics are the student's."""
        return {**task_state, "model_state": jax.lax.stop_gradient(model_state)}

    def network(self, state: TrainState) -> tuple[Tree, Tree]:
        """The teacher."""
        return state.task_state["params"], state.task_state["model_state"]

    def terms(self, step: TrainingStep) -> Terms:
        """The teacher sees a view of its own, as it is trained, and keeps statistics of its own."""
        batch, teacher = step.view(0, step.batch), step.state.task_state
        output, model_state = step.student(batch.image)
        image, key = step.view(1, step.batch).image, step.keys(1)[1]
        said, statistics = step.parts.trained(teacher["params"], teacher["model_state"], image, key)
        target = jax.lax.stop_gradient(jax.nn.softmax(said.logits, axis=-1))
        consistency = jnp.mean(squared_distance(output.logits, target))
        after = {**teacher, "model_state": jax.lax.stop_gradient(statistics)}
        return Terms(output, self.pseudo_labelled(step, batch, target), model_state, consistency, after)
