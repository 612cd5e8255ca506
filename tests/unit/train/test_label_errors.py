"""The network's judgement: of every row, those that it did not train on too."""

import numpy as np
import pytest

from jaxaug.label_errors.reading import Rows
from jaxaug.train.label_errors import agreed, epochs_of, judge, judging_config


def test_rows_that_were_left_out_are_judged():
    """Bright or dark: learned from 40 rows, known of the 13 others."""
    random = np.random.default_rng(0)
    label = np.arange(53, dtype=np.int32) % 2
    image = random.integers(0, 60, (53, 8, 8, 1), dtype=np.uint8) + (190 * label[:, None, None, None]).astype(np.uint8)
    config = judging_config(epochs=12)
    config.optim.learning_rate = 0.03
    config.batch_size, config.eval_batch_size = 10, 16
    config.model.widths = (4,)
    found = judge(Rows(image, label, ("dark", "bright")), config, trained_on=np.arange(40))
    assert found.probabilities.shape == (53, 2)
    assert found.features.shape == (53, 4)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found.probabilities[40:].argmax(axis=1), label[40:])


def test_what_two_judges_say_together():
    """The network's times the root of the patches'; what nobody thinks possible stays without probability."""
    found = agreed(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.36, 0.64], [0.0, 1.0]]))
    np.testing.assert_allclose(found, [[6 / 14, 8 / 14], [0, 0]])


@pytest.mark.parametrize(("rows", "epochs"), [(40, 36), (10_000, 36), (20_000, 18), (60_000, 8), (10**6, 8)])
def test_epochs_of_large_sets(rows, epochs):
    assert epochs_of(rows) == epochs
