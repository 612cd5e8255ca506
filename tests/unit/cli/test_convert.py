"""Weights in and out by the command."""

import json
import sys

import jax
import numpy as np
import pytest

from jaxaug import models
from jaxaug.cli.main import main
from jaxaug.models import weights


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """What a test makes importable is forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(scope="module")
def network():
    """ResNet-18 of 7 classes, with numbers that are told apart in its arrays."""
    model = models.create("resnet18", num_classes=7)
    shapes = jax.eval_shape(lambda key: models.init_model(model, key, (224, 224, 3)), jax.random.key(0))
    return model, *jax.tree.map(lambda leaf: np.arange(leaf.size, dtype=np.float32).reshape(leaf.shape), shapes)


@pytest.fixture(scope="module")
def theirs(network, tmp_path_factory):
    """Its file for PyTorch."""
    file = tmp_path_factory.mktemp("weights") / "theirs.safetensors"
    weights.export(file, *network)
    return file


def convert(*words):
    return main(["convert", *map(str, words)])


def test_in_and_out(network, theirs, tmp_path, capsys):
    """Bit for bit; the file for PyTorch has its names and shapes."""
    ours, again = tmp_path / "ours.npz", tmp_path / "again.safetensors"
    assert convert(theirs, "--model=resnet18", "--num_classes=7", f"--out={ours}") == 0
    assert capsys.readouterr().out == f"{ours}: resnet18\n"
    jax.tree.map(np.testing.assert_array_equal, weights.load(ours), network[1:])
    assert convert(ours, "--model=resnet18", "--num_classes=7", f"--out={again}", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"out": str(again), "model": "resnet18"}
    assert printed.err == f"{again}: resnet18\n"
    assert again.read_bytes() == theirs.read_bytes()
    assert weights.read_torch(again)["fc.weight"].shape == (7, 512)


def test_options_of_the_network(tmp_path, capsys):
    """A ResNet with a stem of three convolutions, whose names the first of them tell apart from torchvision's."""
    model = models.create("resnet", depth=18, stem="deep", num_classes=7)
    shapes = jax.eval_shape(lambda key: models.init_model(model, key, (64, 64, 3)), jax.random.key(0))
    network = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    weights.export(tmp_path / "deep.safetensors", model, *network)
    words = ["--model=resnet", "--model.stem=deep", "--num_classes=7", f"--out={tmp_path}/ours.npz"]
    assert convert(tmp_path / "deep.safetensors", *words, "--model.depth=18") == 0
    params, _ = weights.load(tmp_path / "ours.npz")
    assert [params[name]["kernel"].shape[3] for name in ("Conv_0", "Conv_1", "Conv_2")] == [64, 64, 128]
    assert convert(tmp_path / "deep.safetensors", *words, "--model.dept=18") == 2
    assert "unknown setting config.model.dept: did you mean 'depth'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["theirs.safetensors", "--model=resnet18", "--out=x.npz"],
            "fc.weight gives (512, 7), head/kernel is (512, 1000)",
        ),
        (["theirs.safetensors", "--model=resnet50", "--out=x.npz"], "the file is not of this network; missing: "),
        (["theirs.safetensors", "--model=resnet8", "--out=x.npz"], "unknown model 'resnet8'"),
        (["theirs.safetensors", "--model=resnet18", "--out=x.safetensors"], "--out: a .safetensors becomes a .npz"),
        (["none.npz", "--model=resnet18", "--out=x.safetensors"], "none.npz: there is no such file"),
        (["none.pth", "--model=convnet", "--out=x.npz"], "none.pth: there is no such file"),
        (["theirs.safetensors", "--model=convnet", "--out=x.npz"], "weights are known for ImageNet's networks"),
        (["theirs.safetensors", "--model=resnet18", "--out=x.npz", "--size=3"], "settings look like --model.depth=50"),
    ],
)
def test_refused(theirs, tmp_path, monkeypatch, capsys, words, message):
    """In one line, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    file, *others = words
    assert convert(theirs if file == theirs.name else file, *others) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())
