"""A run used after its training: predicted with, evaluated, exported, by functions and by commands."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.settings import tiny_config
from PIL import Image

import jaxaug as ja
from jaxaug.cli.main import main
from jaxaug.core.errors import UsageError
from jaxaug.inference import calibrate, evaluate, export_function, export_weights, predict_files
from jaxaug.inference.export import export_policy
from jaxaug.models.weights.files import read_safetensors
from jaxaug.runs.signature import read_signature
from jaxaug.train import train_and_evaluate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run on digits with validation rows, of which two checkpoints are kept."""
    path = tmp_path_factory.mktemp("trained") / "run"
    config = tiny_config(epochs=2, eval_batch_size=64)
    config.model, config.loss, config.augment.train = {"name": "linear"}, (), ()
    config.data = {"name": "digits", "validation_size": 300}
    train_and_evaluate(config, path)
    return path


@pytest.fixture(scope="module")
def run(folder):
    return ja.load(folder)


@pytest.fixture(scope="module")
def data():
    return ja.data.load("digits", validation_size=300)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, data):
    """Twelve test rows as files, one of them larger, and one that is no image; in the order of their names."""
    path = tmp_path_factory.mktemp("pictures")
    for row in range(12):
        image = Image.fromarray(data.test.image[row, :, :, 0])
        image = image.resize((16, 16), Image.Resampling.NEAREST) if row == 11 else image
        image.save(path / f"{row:02}.png")
    (path / "05_broken.png").write_text("no image")
    return path


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copied")


@pytest.fixture(autouse=True)
def no_cache_of_users(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))


def told(capsys, *arguments, status=0):
    assert main([str(one) for one in arguments]) == status
    return capsys.readouterr()


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def test_predictions_are_those_of_the_training(run, folder, data):
    said = run.predict(data.test.image)
    assert np.mean(said.labels == data.test.label) == pytest.approx(result_of(folder)["test_top1"])
    np.testing.assert_allclose(said.probabilities.sum(1), 1, rtol=1e-6)
    head = {name: np.asarray(x) for name, x in run.state.params["head"].items()}
    np.testing.assert_allclose(said.features @ head["kernel"] + head["bias"], said.logits, atol=1e-4)
    assert run.class_names == data.class_names
    assert len(run.predict(data.test.image[:1, :, :, 0]).labels) == 1


def test_neither_data_nor_result_are_needed(copied, data, monkeypatch):
    (copied / "result.json").unlink()
    monkeypatch.setattr("jaxaug.data.sources.digits.digits", None)
    assert ja.load(copied).predict(data.test.image[:5]).labels.shape == (5,)


def test_a_run_without_a_signature_reads_its_data(copied, run):
    (copied / "signature.json").unlink()
    assert ja.load(copied).signature == run.signature == read_signature(run.folder / "signature.json")


def test_the_best_checkpoint(folder, run):
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    best = max(records, key=lambda record: record["validation_top1"])
    assert ja.load(folder, "best").step == best["step"]
    assert run.step == records[-1]["step"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 9, 8, 1), np.uint8), r"images have shape [2, 9, 8, 1]; the run takes [N 8 8 1]"),
        (np.zeros((0, 8, 8, 1), np.uint8), "one or more"),
        (np.zeros((2, 8, 8, 1), np.int32), "images are int32; they must be uint8"),
        (np.full((2, 8, 8, 1), 0.5), "floats must be on the scale 0..255"),
    ],
)
def test_images_that_cannot_be(run, images, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        run.predict(images)


def test_black_is_black_on_every_scale(run):
    black = np.zeros((2, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(run.predict(black).logits, run.predict(black.astype(np.uint8)).logits)


def test_mistakes_of_folders(copied, tmp_path):
    with pytest.raises(UsageError, match=r"is not the folder of a run: it has no config\.json"):
        ja.load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="unknown checkpoint 'first'"):
        ja.load(copied, "first")
    shutil.copytree(copied, tmp_path / "other")
    with pytest.raises(UsageError, match="has 2 runs below it: name one of"):
        ja.load(tmp_path)
    (copied / "signature.json").write_text("{}")
    with pytest.raises(UsageError, match=r"signature\.json is damaged"):
        ja.load(copied)
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "model": {"name": "convnet"}}))
    with pytest.raises(UsageError, match="is of another model than its run's config names"):
        ja.load(tmp_path / "copied") if (copied / "signature.json").unlink() is None else None
    (copied / "config.json").write_text(json.dumps({**config, "modle": {"name": "linear"}}))
    with pytest.raises(UsageError, match=r"is no config of this version of jaxaug: .*modle.*; use the version that"):
        ja.load(copied)
    shutil.rmtree(tmp_path / "other" / "checkpoints")
    with pytest.raises(UsageError, match="has no checkpoint yet, or they are gone"):
        ja.load(tmp_path / "other")


def test_files_are_predicted_as_rows_are(run, pictures, data, tmp_path):
    lines = []
    out, features = tmp_path / "p.jsonl", tmp_path / "f.npz"
    counts = predict_files(run, [pictures], out, features=features, top=3, batch_size=4, told=lines.append)
    assert counts == (12, 1)
    assert lines == [line for line in lines if "05_broken.png cannot be read as an image" in line]
    found = [json.loads(line) for line in out.read_text().splitlines()]
    said = run.predict(data.test.image[:11])
    best = [run.class_names[label] for label in said.labels]
    assert [one["classes"][0]["class"] for one in found[:11]] == best
    shares = [one["classes"][0]["probability"] for one in found[:11]]
    np.testing.assert_allclose(shares, said.probabilities.max(1), rtol=1e-5)
    assert {len(one["classes"]) for one in found} == {3}
    with np.load(features) as kept:
        assert [str(name) for name in kept["image"]] == [one["image"] for one in found]
        np.testing.assert_allclose(kept["features"][:11], said.features, rtol=1e-5, atol=1e-6)


def test_predict_writes_to_the_terminal(folder, pictures, data, tmp_path, capsys, monkeypatch):
    np.savez(tmp_path / "rows.npz", images=data.test.image[:3])
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{pictures / '00.png'}\n{tmp_path / 'rows.npz'}\n"))
    printed = told(capsys, "predict", folder, "-", "--top=1")
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert [row["image"] for row in rows] == [
        str(pictures / "00.png"),
        *(f"{tmp_path}/rows.npz[{i}]" for i in range(3)),
    ]
    assert rows[0]["class_1"] == rows[1]["class_1"]
    assert printed.err.splitlines()[-1] == "4 images, 0 skipped"
    printed = told(capsys, "predict", folder, pictures, "--json", "--quiet")
    assert len([json.loads(line) for line in printed.out.splitlines()]) == 12
    assert "skipped: " in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "there is no file or folder nowhere.png"),
        (["empty"], "the folder empty has no images, nor have its sub-folders"),
        (["empty.npz"], "empty.npz must have one array of images, uint8 [N 8 8 1] as the run takes them"),
        (["broken.png"], "none of 1 images can be read"),
        (["broken.png", "--out=x.txt"], "a file that ends in .csv or .jsonl"),
        (["broken.png", "--top=0"], "top must be at least 1"),
    ],
)
def test_mistakes_of_predict(arguments, message, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.png").write_text("no image")
    np.savez(tmp_path / "empty.npz", x=np.zeros((2, 9)))
    assert message in told(capsys, "predict", folder, *arguments, status=2).err


def test_a_temperature_of_validation_rows(run, copied, data, folder):
    temperature = calibrate(run)
    kept = json.loads((run.folder / "temperature.json").read_text())
    assert kept == {"temperature": temperature, "checkpoint": "last", "step": run.step, "rows": 300}

    def nll(temperature):
        said = run.predict(data.validation.image, temperature=temperature)
        return -np.mean(np.log(said.probabilities[np.arange(300), data.validation.label]))

    assert nll(temperature) < min(nll(temperature * 1.1), nll(temperature / 1.1))
    assert (run.predict(data.test.image, temperature=temperature).labels == run.predict(data.test.image).labels).all()
    (run.folder / "temperature.json").write_text(json.dumps({**kept, "temperature": 3.0}))
    assert calibrate(run) == 3.0
    # Another network of the same step, such as the averaged one, has a temperature of its own.
    (run.folder / "temperature.json").write_text(json.dumps({**kept, "temperature": 3.0, "checkpoint": "averaged"}))
    assert calibrate(run) == pytest.approx(temperature)
    (run.folder / "temperature.json").unlink()


@pytest.mark.parametrize("changes", [{"rows": "both"}, {"rows": "validation"}, {"ablation": "oversplit"}])
def test_no_temperature_of_rows_that_were_trained_on(copied, changes):
    run = ja.load(copied)
    with run.config.unlocked():
        run.config.data.update(changes)
    with pytest.raises(UsageError, match="was trained on its validation rows"):
        calibrate(run)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_temperatures_that_cannot_be(run, data, temperature, tmp_path):
    with pytest.raises(UsageError, match="temperature must be a finite number above 0"):
        run.predict(data.test.image[:2], temperature=temperature)
    with pytest.raises(UsageError, match="temperature must be a finite number above 0"):
        export_function(run, tmp_path / "x", temperature=temperature)
    with pytest.raises(UsageError, match="batch_size must be at least 0"):
        run.predict(data.test.image[:2], batch_size=-3)


def test_evaluations_are_kept_and_shown(copied, capsys):
    printed = told(capsys, "evaluate", copied, "--json")
    figures = json.loads(printed.out)
    result = result_of(copied)
    for name in ("top1", "nll", "ece"):
        assert figures[name] == pytest.approx(result[f"test_{name}"], rel=1e-5)
    assert json.loads((copied / "evaluations" / "test.json").read_text())["top1"] == figures["top1"]
    printed = told(capsys, "evaluate", copied, "--split=validation", "--robustness=occlusion", "--name=hidden")
    assert "occluded error %" in printed.out
    assert told(capsys, "evaluate", copied, "--checkpoint=best", "--split=train", "--quiet").out == ""
    sizes = told(capsys, "evaluate", copied, "--eval_batch_size=7", "--place=host", "--name=hidden", "--json").out
    assert json.loads(sizes)["top1"] == figures["top1"]
    assert "eval_batch_size must be at least 1" in told(capsys, "evaluate", copied, "--eval_batch_size=0", status=2).err
    told(capsys, "evaluate", copied, "--split=validation", "--robustness=occlusion", "--name=hidden")
    printed = told(capsys, "results", copied, "--json")
    evaluations = json.loads(printed.out)["evaluations"]
    assert [one["name"] for one in evaluations] == ["hidden", "test", "train-best"]
    assert evaluations[1]["top1_mean"] == pytest.approx(result["test_top1"])
    assert "evaluated later" in told(capsys, "results", copied).out


def test_rows_of_a_run_without_test_rows(capsys, copied):
    """Are told to be those of validation."""
    assert "there is no test set" not in told(capsys, "evaluate", copied).out
    (copied / "result.json").write_text(json.dumps({**result_of(copied), "reported_on": "validation"}))
    assert "test, the validation rows: there is no test set, " in told(capsys, "evaluate", copied).out


def test_other_data_are_normalised_as_in_the_training(run, data, tmp_path, capsys, copied):
    arrays = {"train_image": data.train.image[:20] // 2, "train_label": data.train.label[:20]}
    np.savez(tmp_path / "other.npz", test_image=data.test.image, test_label=data.test.label, **arrays)
    figures = json.loads(
        told(capsys, "evaluate", copied, "--data.name=npz", f"--data.path={tmp_path}/other.npz", "--json").out
    )
    assert figures["top1"] == pytest.approx(result_of(copied)["test_top1"])
    assert figures["rows"] == len(data.test)
    assert re.fullmatch(r"npz-\w{6}-test", figures["name"])


def test_data_that_do_not_fit(run, data, tmp_path):
    def other(classes, side=8):
        image, label = np.zeros((classes, side, side, 1), np.uint8), np.arange(classes)
        return ja.data.assemble(
            "mine", (image, label), (image, label), num_classes=classes, class_names=tuple(map(str, range(classes)))
        )

    with pytest.raises(UsageError, match=r"mine has 7 classes, the run in .* tells 10 apart"):
        evaluate(run, other(7))
    with pytest.raises(UsageError, match=r"mine has images of 9 x 9 x 1, the run in .* takes 8 x 8 x 1"):
        evaluate(run, other(10, side=9))
    with pytest.raises(UsageError, match="mine has no validation rows"):
        evaluate(run, other(10), "validation")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split=tset"], "unknown split 'tset': did you mean 'test'"),
        (["--epochs=3"], "unknown argument --epochs: settings of an evaluation begin with --data, --robustness"),
        (["--data.nam=x"], "data.nam: did you mean 'name'"),
        (["--robustness=oclusion"], "did you mean 'occlusion'"),
    ],
)
def test_mistakes_of_evaluate(arguments, message, folder, capsys):
    assert message in told(capsys, "evaluate", folder, *arguments, status=2).err


WITHOUT_JAXAUG = """
import sys
import numpy as np, jax
function = jax.export.deserialize(bytearray(open("model.stablehlo", "rb").read()))
images = np.load("images.npy")
found = [function.call(images[:rows]) for rows in (3, 5)]
assert not {"jaxaug", "flax"} & set(sys.modules)
np.savez("found.npz", **{f"{name}{i}": x for i, pair in enumerate(found) for name, x in zip("pf", pair)})
"""


def test_the_function_runs_without_jaxaug(run, data, tmp_path):
    about = export_function(
        run, tmp_path / "model.stablehlo", platforms=("cpu", "gpu", "tpu"), features=True, temperature=2.0
    )
    assert about["platforms"] == ["cpu", "cuda", "tpu"]
    assert about["outputs"] == {"probabilities": "float32[batch, 10]", "features": "float32[batch, 64]"}
    assert json.loads((tmp_path / "model.stablehlo.json").read_text())["class_names"] == list(run.class_names)
    np.save(tmp_path / "images.npy", data.test.image[:5])
    # Without -P or a PYTHONPATH the package is not beside the program, and its folder has no jaxaug.
    done = subprocess.run([sys.executable, "-c", WITHOUT_JAXAUG], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said = run.predict(data.test.image[:5], temperature=2.0)
    with np.load(tmp_path / "found.npz") as found:
        for i, rows in enumerate((3, 5)):
            np.testing.assert_allclose(found[f"p{i}"], said.probabilities[:rows], atol=2e-6)
            np.testing.assert_allclose(found[f"f{i}"], said.features[:rows], atol=2e-5)


def test_weights_and_policy(run, tmp_path, copied, capsys):
    config = json.loads((copied / "config.json").read_text())
    config["augment"]["train"] = [{"name": "policy", "preset": "randaugment", "num_layers": 1, "magnitude": 6}]
    (copied / "config.json").write_text(json.dumps(config))
    assert export_weights(run, tmp_path / "w.safetensors") == 2
    arrays = read_safetensors(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(arrays["params/head/kernel"], run.state.params["head"]["kernel"])
    assert export_policy(ja.load(copied), tmp_path / "policy.json") == "of its training augmentation"
    assert repr(ja.policies.load(tmp_path / "policy.json")) == repr(ja.policies.randaugment(1, 6))
    printed = told(capsys, "export", copied, f"--policy={tmp_path}/policy.py", "--style=torchvision", "--json").out
    assert json.loads(printed)["policy"]["file"] == f"{tmp_path}/policy.py"
    assert "transforms.RandAugment(num_ops=1, magnitude=6)" in (tmp_path / "policy.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to export: --out=model.stablehlo"),
        (["--out=model.onnx"], "model.onnx: what is written is StableHLO"),
        (["--out=x", "--platforms=gpus"], "unknown platform 'gpus': did you mean 'gpu'"),
        (["--out=nowhere/x"], "nowhere/x cannot be written: there is no folder nowhere"),
        (["--policy=x"], "has neither searched nor used a policy: there is no one policy to export"),
        (["--policy=x", "--style=tim"], "unknown style 'tim': did you mean 'timm'"),
    ],
)
def test_mistakes_of_export(arguments, message, folder, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert message in told(capsys, "export", folder, *arguments, status=2).err
