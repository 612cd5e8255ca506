"""Robustness: the published files of corruptions, protocols by name, and what a run and a sweep leave behind."""

import json
import signal

import numpy as np
import pytest
from helpers.one_pixel_classifier import PIXEL, classifier, images_of, small
from helpers.published_data import register, write_archives
from helpers.settings import tiny_config

from jaxaug import robustness, viz
from jaxaug.core.errors import Interrupted, UsageError
from jaxaug.train import figures, robustness_eval, sweep, trainer
from jaxaug.train.experiment import build_experiment
from jaxaug.train.hooks.console import ProgressBar
from jaxaug.train.hooks.preemption import StopSignal
from jaxaug.train.robustness_eval import _curve, measure


def write_corruptions(folder, names, rows=20):
    """A small copy in the published format; of severity s the first 2 s of `rows` have a black pixel PIXEL."""
    folder.mkdir(parents=True)
    image, label = images_of(rows, (32, 32, 3))
    for name in names:
        every = np.concatenate([image] * 5)
        for severity in range(1, 6):
            every[(severity - 1) * rows :][: 2 * severity, *PIXEL] = 0
        np.save(folder / f"{name}.npy", every)
    np.save(folder / "labels.npy", np.tile(label, 5).astype(np.uint8))


def cifar(folder, **options):
    """(slots, data, their directory) that ask for corruptions of a small stand-in of CIFAR-10."""
    return ({"name": "corruptions", **options},), small("cifar10", (32, 32, 3), 30), str(folder)


def build(slots, data, directory=""):
    return robustness.create(slots, data, directory=directory)


def test_corruptions(tmp_path):
    """A tenth of the rows is wrong for each severity: 10 % to 50 %, the plain mean 30 %."""
    write_corruptions(tmp_path / "CIFAR-10-C", ("fog", "snow"))
    slots, built, directory = cifar(tmp_path, names=("fog", "snow"))
    (protocol,) = build(slots, built, directory).values()
    one = classifier(build_experiment(tiny_config()), eval_batch_size=8, data=built)
    found = measure(one, built.test, None, protocol, StopSignal(), "test")
    assert [(level["line"], level["severity"]) for level in found["levels"]] == [
        (name, severity) for name in ("fog", "snow") for severity in range(1, 6)
    ]
    assert [level["error"] for level in found["levels"]] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5] * 2)
    assert found["corruption_error"] == pytest.approx(0.3)
    assert _curve(found)["error"] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_corruptions_that_are_missing(tmp_path):
    """Before training: what to fetch, and where to put it."""
    published = r"config\.robustness: corruptions: .*published for cifar10 and cifar100, not for 'digits'"
    with pytest.raises(UsageError, match=published):
        build_experiment(tiny_config(robustness=("corruptions",)))
    asked = cifar(tmp_path)
    with pytest.raises(UsageError, match=r"(?s)CIFAR-10-C is not on.*curl -L .*CIFAR-10-C.tar.*tar -xf - -C"):
        build(*asked)
    write_corruptions(tmp_path / "cifar10" / "CIFAR-10-C", ("fog",))
    with pytest.raises(UsageError, match=r"lacks gaussian_noise.npy.*Unpack"):
        build(*asked)
    asked = cifar(tmp_path, names=("fog",))
    assert len(build(*asked)["corruptions"].levels) == 5
    np.save(tmp_path / "cifar10" / "CIFAR-10-C" / "fog.npy", np.zeros((100, 28, 32, 3), np.uint8))
    with pytest.raises(UsageError, match=r"needs uint8 \(100, 32, 32, 3\)"):
        build(*asked)
    np.save(tmp_path / "cifar10" / "CIFAR-10-C" / "labels.npy", np.full(100, 7))
    with pytest.raises(UsageError, match=r"0\.\.1"):
        build(*asked)
    (tmp_path / "cifar10" / "CIFAR-10-C" / "labels.npy").write_text("no array")
    with pytest.raises(UsageError, match="cannot be read"):
        build(*asked)


def test_corruptions_lie_where_the_data_sets_of_the_config_lie(tmp_path, monkeypatch):
    """A run looks for them in config.data.directory."""
    folder = tmp_path / "cifar10"
    write_archives("cifar10", folder)
    register(monkeypatch, "cifar10", folder)
    write_corruptions(folder / "CIFAR-10-C", ("fog",))
    config = tiny_config(robustness=({"name": "corruptions", "names": ("fog",)},), batch_size=50)
    config.data.update(name="cifar10", directory=str(tmp_path))
    assert len(build_experiment(config).protocols["corruptions"].levels) == 5


OWN = """
from jaxaug.robustness import Level, Protocol


def dim(data, *, metric="darkness_error", severity=0.5):
    return Protocol("darkness", metric, (Level("dim", severity),), lambda key, image, strength: image // 2)
"""


def test_names(tmp_path, monkeypatch):
    """A protocol of one's own by its address, and every mistake in naming one."""
    (tmp_path / "own_project").mkdir()
    (tmp_path / "own_project" / "protocols.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    own = "own_project.protocols.dim"
    assert list(build(("occlusion", own), small())) == ["occlusion", "dim"]
    with pytest.raises(UsageError, match="a name of its own, ending in '_error'"):
        build(("occlusion", {"name": own, "metric": "occluded_error"}), small())
    with pytest.raises(UsageError, match="nothing to tell"):
        build(({"name": own, "metric": "dim_error", "severity": 0.0},), small())
    for names, message in (
        (("occlusions",), r"config\.robustness: unknown robustness 'occlusions': did you mean 'occlusion'"),
        (
            ("fills",),
            r"config\.robustness: unknown robustness 'fills': valid names are corruptions, imagenet_c, imagenet_v2",
        ),
        (("occlusion", "occlusion"), r"config\.robustness: occlusion: is asked for twice"),
    ):
        with pytest.raises(UsageError, match=message):
            build_experiment(tiny_config(robustness=names))


def test_a_run_with_robustness(tmp_path, monkeypatch):
    """Stopped in the second protocol, it goes on there, then writes its files and merges the metrics."""
    config = tiny_config(robustness=("occlusion", "translation"))
    measured = []

    def stop_in_translation(self, at, metrics):
        if "translation" in self._title and at == 2:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "update", stop_in_translation)
        with pytest.raises(Interrupted, match=r"translation; the training is complete and saved"):
            trainer.train_and_evaluate(config, tmp_path)
    assert not (tmp_path / "result.json").exists()
    assert list(json.loads((tmp_path / "robustness.json").read_text())) == ["occlusion"]
    monkeypatch.setattr(robustness_eval, "measure", lambda *a: measured.append(a[-1]) or measure(*a))
    result = trainer.train_and_evaluate(config, tmp_path, "run")
    assert measured == ["run: translation"]
    saved = json.loads((tmp_path / "robustness.json").read_text())
    errors = [level["error"] for level in saved["occlusion"]["levels"]]
    assert errors[0] == pytest.approx(1 - result["test_top1"])
    assert result["occluded_error"] == saved["occlusion"]["occluded_error"] == pytest.approx(np.mean(errors[1:]))
    assert result["robustness"]["occlusion"]["error"] == errors
    assert result["translated_error"] > 1 - result["test_top1"]
    bins = {name: np.array(values) for name, values in result["reliability"].items()}
    assert np.sum(bins["share"] * np.abs(bins["accuracy"] - bins["confidence"])) == pytest.approx(result["test_ece"])
    assert bins["share"].sum() == pytest.approx(1)
    for name in ("reliability.png", "robustness.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    # Killed before its result was written: nothing is measured again.
    (tmp_path / "result.json").unlink()
    assert trainer.train_and_evaluate(config, tmp_path, "run") == result
    assert measured == ["run: translation"]


def test_a_sweep_draws_variants_side_by_side(tmp_path, monkeypatch, capsys):
    config = tiny_config(seeds=2, robustness=("translation",), loss=())
    config.variants = {"mean": {}, "black": {"robustness": ({"name": "translation", "fill": "black"},)}}
    drawn, draw = [], viz.robustness_curves
    monkeypatch.setattr(figures.viz, "robustness_curves", lambda curves: drawn.append(curves) or draw(curves))
    results = sweep.run(config, tmp_path)
    assert "translated error %" in capsys.readouterr().out
    assert json.loads((tmp_path / "table.json").read_text())["results"] == results
    assert {name: len(runs) for name, runs in drawn[-1].items()} == {"mean": 2, "black": 2}
    assert (tmp_path / "robustness.png").exists()
    assert (tmp_path / "reliability.png").exists()
    assert (tmp_path / "mean" / "seed_1" / "robustness.png").exists()
