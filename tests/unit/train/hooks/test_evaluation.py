"""What an evaluation looks at."""

import numpy as np
import pytest
from helpers.settings import tiny_config

from jaxaug import models
from jaxaug.train.experiment import build_experiment
from jaxaug.train.hooks.evaluation import EvaluationHook


class NoRecords:
    """A run's folder without a history."""

    def history(self, until_step):
        return []


def evaluators_of(**changes):
    experiment = build_experiment(tiny_config(**changes))
    return experiment, EvaluationHook(experiment, NoRecords(), None, 0).evaluators


def test_training_rows_as_they_are():
    """Without augmentation, with running statistics, and each row once."""
    experiment, evaluators = evaluators_of(eval_train=True)
    state, data = experiment.begin(), experiment.data
    image = (data.train.image / 255 - np.array(data.mean)) / np.array(data.std)
    model = models.create(**experiment.config.model.to_dict(), num_classes=10)
    output, _ = models.apply_model(model, state.params, state.model_state, image.astype(np.float32), train=False)
    expected = float(np.mean(np.argmax(np.asarray(output.logits), -1) == data.train.label))
    assert evaluators["unaugmented_train"](state)["top1"] == pytest.approx(expected, abs=1e-6)


def test_not_unless_asked_for():
    assert evaluators_of()[1].keys() == {"test"}
