"""What a config does to images, drawn: images as the training's pipeline makes them, targets as its losses do."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.analysis import pipeline_figure
from jaxaug.augment.compose import build_pipeline
from jaxaug.cli import main as command
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate
from jaxaug.core.types import Progress
from jaxaug.train.config import default_config
from jaxaug.train.experiment import build_experiment

SOFT = {"name": "soft_crop", "sigma": 0.3, "relative": True, "fill": "zero"}


@pytest.fixture
def drawn(monkeypatch):
    """The stages that would have been drawn."""
    stages = []
    monkeypatch.setattr(pipeline_figure, "pipeline_stages", stages.extend)
    return stages


@pytest.fixture(scope="module")
def experiment():
    config = default_config()
    config.model, config.augment.size = {"name": "linear"}, 6
    config.augment.train = ("flip", SOFT)
    config.loss = ("soft_targets", "isda")
    return build_experiment(config)


def test_it_is_the_pipeline_of_the_training(experiment, drawn):
    """The last stage is what the network would see; captions tell what is visible, and the softened target."""
    pipeline_figure.draw_pipeline(experiment, 6)
    assert [stage.title for stage in drawn] == ["as it is read", "flip", "soft crop", "center 6 x 6"]
    assert list(drawn[0].captions) == list("012345"), "a row of each class first"
    assert not drawn[1].captions
    config, data = experiment.config, experiment.data
    rows = pipeline_figure._chosen(data.train, 6)
    transforms = [instantiate("augment", slot) for slot in config.augment.train]
    augment, _ = build_pipeline(transforms, mean=data.mean, std=data.std, size=6)
    half = Progress(jnp.asarray(0.5), jnp.asarray(0.5), config.epochs)
    seen = jax.jit(lambda key, batch: augment(batch, {}, key, half, train=True))(
        jax.random.key(config.seed), pipeline_figure._read(experiment, rows)
    )
    back = 255 * (np.asarray(seen.image) * np.array(data.std) + np.array(data.mean))
    np.testing.assert_allclose(drawn[-1].images, back, atol=1e-2)
    visible = [float(re.search(r"visible ([\d.]+)", words)[1]) for words in drawn[-1].captions]
    np.testing.assert_allclose(visible, seen.visible_fraction, atol=0.006)
    shares = [
        float(re.search(rf"^{label}: ([\d.]+)", words, re.M)[1]) for label, words in enumerate(drawn[-1].captions)
    ]
    assert (np.argsort(shares) == np.argsort(visible)).all() or np.ptp(visible) == 0
    assert min(shares) < 0.99


def test_the_command(tmp_path, capsys):
    """Every variant of a config is drawn into a file of its own."""
    (tmp_path / "one.py").write_text(
        "from jaxaug.train import default_config\n\n\ndef get_config():\n    config = default_config()\n"
        "    config.model = {'name': 'linear'}\n    config.variants = {'flipped': {'augment': {'train': ('flip',)}}}\n"
        "    config.variants['plain'] = {}\n    return config\n"
    )
    arguments = ["plots", f"--config={tmp_path / 'one.py'}", f"--out={tmp_path / 'drawn'}", "--rows=3"]
    assert command.main(arguments) == 0
    assert f"drawn in {tmp_path / 'drawn'}: pipeline_flipped.png, pipeline_plain.png" in capsys.readouterr().out
    assert (tmp_path / "drawn" / "pipeline_plain.png").exists()
    for others, told in (
        (["plots"], "name the folder of a run, or a config with --config=FILE"),
        (["plots", str(tmp_path), "--config=smoke"], "name the folder of a run, or a config with --config=FILE"),
        ([*arguments, "--rows=0"], "rows must be at least 1"),
        ([*arguments, "--config.epohcs=3"], "did you mean 'epochs'"),
    ):
        assert command.main(others) == 2
        assert told in capsys.readouterr().err


def test_fewer_than_one_row(experiment):
    with pytest.raises(UsageError, match="rows must be at least 1"):
        pipeline_figure.draw_pipeline(experiment, 0)
