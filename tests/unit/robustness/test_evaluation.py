"""The exact errors of a classifier of one pixel under a protocol."""

import jax
import numpy as np
import pytest
from helpers.one_pixel_classifier import PIXEL, classifier, perturbed, small
from helpers.settings import tiny_config

from jaxaug.robustness import occlusion, translation
from jaxaug.train.evaluator import Evaluator
from jaxaug.train.experiment import build_experiment


@pytest.fixture(scope="module")
def base():
    return build_experiment(tiny_config())


def test_one_pixel_has_the_predictable_error(base):
    """It errs where the patch hides its pixel, and nowhere else; the padding of the last batch counts for nothing."""
    built = small()
    protocol = occlusion(built, fill="black")
    evaluator = Evaluator(classifier(base), built.test, protocol.perturb)
    for level in protocol.levels:
        patched = perturbed(protocol, built.test.image, level.strength)
        expected = np.mean(patched[:, *PIXEL, 0] == 0)
        assert 1 - evaluator(None, level.strength)["top1"] == pytest.approx(expected, abs=1e-6)
        height, width = level.strength
        places = [(y, x) for y in range(9 - height) for x in range(9 - width)]
        covering = sum(y <= PIXEL[0] < y + height and x <= PIXEL[1] < x + width for y, x in places) / len(places)
        assert expected == pytest.approx(covering, abs=0.13)  # 4.5 deviations of 301 draws at most


def test_places_depend_on_the_row_and_the_seed_alone(base):
    """The same metrics in any batches and on any devices; others with another seed."""
    built = small()
    protocol = translation(built)
    one = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))

    def metrics_of(seed=0, **changes):
        return Evaluator(classifier(base, **changes), built.test, protocol.perturb, seed)(None, np.int32([3, 3]))

    expected = metrics_of()
    assert metrics_of(eval_batch_size=512) == pytest.approx(expected, rel=1e-5)
    assert metrics_of(mesh=one, eval_batch_size=7) == pytest.approx(expected, rel=1e-5)
    assert metrics_of(seed=1)["nll"] != pytest.approx(expected["nll"], rel=1e-4)
