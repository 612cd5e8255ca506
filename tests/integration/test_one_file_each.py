"""One of each, in one file beside the config and outside of jaxaug: chosen by name, trained with, told by commands."""

import json
import subprocess
import sys
import textwrap

import pytest
from helpers.settings import ROOT

from jaxaug.cli.main import main

FILES = {
    "my_loss": '''
        """A loss that reads the counts of the classes."""
        import jax.numpy as jnp

        import jaxaug as ja


        @ja.register("loss")
        def balanced(power: float = 0.5):
            """Rows of rare classes weigh more.

            Args:
              power: of the count that a row's weight is divided by.
            """

            def init(num_classes, num_features, *, class_counts, **extras):
                return {"weight": jnp.mean(class_counts) ** power / jnp.maximum(class_counts, 1.0) ** power}

            def apply(state, inputs):
                return state, inputs.replace(weight=inputs.weight * state["weight"][inputs.batch.label])

            return ja.losses.LossTransform(init, apply, name="balanced")
    ''',
    "my_op": '''
        """An operation of a new kind of warp: a swirl about the middle."""
        import jaxaug as ja


        @ja.ops.warp_op("Swirl", 0.0, 2.0, unit="radians in the middle", neutral=0.0, signed=True)
        def swirl(backend, value, random, height, width):
            xp = backend.xp
            y, x = xp.arange(height)[:, None] - (height - 1) / 2, xp.arange(width)[None] - (width - 1) / 2
            angle = value * xp.exp(-(x**2 + y**2) / (0.25 * height * width))
            column = xp.cos(angle) * x - xp.sin(angle) * y + (width - 1) / 2
            return column, xp.sin(angle) * x + xp.cos(angle) * y + (height - 1) / 2
    ''',
    "my_linen": '''
        """A Linen model: features and a head, nothing else."""
        import flax.linen as nn


        class Net(nn.Module):
            """Two layers.

            Attributes:
              width: of the hidden layer.
            """

            num_classes: int
            width: int = 24

            @nn.compact
            def __call__(self, image, train):
                features = nn.relu(nn.Dense(self.width)(image.reshape(len(image), -1)))
                return features, nn.Dense(self.num_classes, name="head")(features)
    ''',
    "my_nnx": '''
        """An NNX model: features and a head, nothing else."""
        import jax
        from flax import nnx


        class Net(nnx.Module):
            """Two layers with batch norm and dropout."""

            def __init__(self, num_classes, width: int = 24, *, rngs):
                self.hidden = nnx.Linear(64, width, rngs=rngs)
                self.norm = nnx.BatchNorm(width, rngs=rngs)
                self.drop = nnx.Dropout(0.1, rngs=rngs)
                self.head = nnx.Linear(width, num_classes, rngs=rngs)

            def __call__(self, image, train):
                hidden = self.norm(self.hidden(image.reshape(len(image), -1)), use_running_average=not train)
                features = self.drop(jax.nn.relu(hidden), deterministic=not train)
                return features, self.head(features)
    ''',
    "my_data": '''
        """A data set with an option of its own: bright stripes."""
        import numpy as np

        import jaxaug as ja


        @ja.register("data")
        def stripes(*, contrast: int = 200, seed: int = 0):
            """Images of a stripe in one of four rows.

            Args:
              contrast: brightness of the stripe, 0..255.
              seed: of the noise around it.
            """
            random = np.random.default_rng(seed)

            def rows(count):
                label = (np.arange(count) % 4).astype(np.int32)
                image = random.integers(0, 50, (count, 8, 8, 1)).astype(np.uint8)
                for i, k in enumerate(label):
                    image[i, 2 * k : 2 * k + 2] += np.uint8(contrast)
                return image, label

            return ja.data.assemble(
                "stripes", rows(128), rows(64), num_classes=4, class_names=tuple("abcd"), validation=rows(32)
            )
    ''',
    "my_searches": '''
        """A search beside the training, and one after it."""
        import dataclasses
        import json

        import jax
        import jax.numpy as jnp
        import numpy as np

        import jaxaug as ja
        from jaxaug.core.totals import totals_of


        @ja.register("search")
        @dataclasses.dataclass(eq=False)
        class Shrinking(ja.search.SearchMethod):
            """Makes the head a little smaller every n steps.

            Attributes:
              every: training steps between two of its own.
            """

            every: int = 2

            def setup(self, context):
                self.rows_there = len(context.data.validation)

            def due(self, step):
                return step // self.every

            def rows(self, number):
                return np.arange(8, dtype=np.int32), np.arange(8, dtype=np.int32)

            def step(self, state, batch, validation):
                head = jax.tree.map(lambda x: 0.999 * x, state.params["head"])
                search = state.search_state.replace(step=state.search_state.step + 1)
                size = jnp.sum(head["kernel"] ** 2)
                state = state.replace(params={**state.params, "head": head}, search_state=search)
                return state, totals_of({"search_size": (size, jnp.ones(()))})


        @ja.register("search")
        @dataclasses.dataclass(eq=False)
        class Counting(ja.search.SearchMethod):
            """Counts the parameters of the trained network."""

            def finish(self, run):
                return {"parameters": sum(x.size for x in jax.tree.leaves(run.state.params))}

            def export(self, run):
                (run.path / "counted.json").write_text(json.dumps({"title": run.title}))
    ''',
    "my_task": '''
        """A task judged by another metric."""
        import jax.numpy as jnp

        import jaxaug as ja


        @ja.register("task")
        class Halves(ja.tasks.Classification):
            """Is the class of the right half?"""

            metric = "half"
            shown_metrics = (ja.tasks.ShownMetric("half", "right half %", 100, 2),)

            def train_sums(self, output, batch):
                right = (self.predict(output) // 2 == batch.label // 2) & batch.labelled
                return {"half": (jnp.sum(right), jnp.sum(batch.labelled))}

            def eval_sums(self, output, batch):
                return self.train_sums(output, batch)

            def diagrams(self, totals):
                return {}
    ''',
}
CONFIG = '''
    """All of them."""
    import pathlib

    from jaxaug.train import default_config


    def get_config():
        config = default_config()
        config.epochs, config.batch_size, config.log_every, config.eval_batch_size = 2, 32, 2, 64
        config.data = {"name": "my_data.stripes", "contrast": 150}
        config.model = {"name": "my_linen.Net", "width": 16}
        config.loss = ({"name": "my_loss.balanced", "power": 1.0}, "label_smoothing")
        policy = pathlib.Path(__file__).parent / "swirls.json"
        config.augment.train = ({"name": "policy", "file": str(policy)},)
        config.task = {"name": "my_task.Halves"}
        config.search = {"name": "my_searches.Shrinking", "every": 3}
        return config
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files, and a policy that was made with the operation in another process."""
    path = tmp_path_factory.mktemp("beside")
    for name, text in FILES.items():
        (path / f"{name}.py").write_text(textwrap.dedent(text).lstrip())
    (path / "config.py").write_text(textwrap.dedent(CONFIG).lstrip())
    program = (
        "import my_op, jaxaug as ja; "
        "layer = [('Swirl', 0.5, 1.0), ('Identity', 0.0, 1.0)]; "
        "ja.policies.make_policy([[layer]], noise=('sign',), signed=('Swirl',)).save('swirls.json')"
    )
    environment = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "PATH": ""}
    subprocess.run([sys.executable, "-c", program], cwd=path, env=environment, check=True)
    return path


@pytest.fixture
def importable(monkeypatch):
    """What a test makes importable is forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def result_of(run):
    (found,) = run.rglob("result.json")
    return json.loads(found.read_text())


@pytest.mark.usefixtures("importable")
def test_all_of_them_in_one_training(folder, tmp_path, capsys):
    """Loss, operation, model, data set, search beside the training and task; an option of each set from outside."""
    settings = ["--config.data.contrast=180", "--config.model.width=24", "--config.loss.balanced.power=0.25"]
    code = main(["train", f"--config={folder / 'config.py'}", f"--workdir={tmp_path}", "--noreport", *settings])
    told = capsys.readouterr()
    assert code == 0, told.err
    assert "right half %" in told.out
    result, (history,) = result_of(tmp_path), tmp_path.rglob("metrics.jsonl")
    assert result["test_half"] >= 0.5
    last = json.loads(history.read_text().splitlines()[-1])
    assert last["search_size"] > 0
    config = json.loads(next(tmp_path.rglob("config.json")).read_text())
    assert config["loss"][0] == {"name": "my_loss.balanced", "power": 0.25}
    assert (config["data"]["contrast"], config["model"]["width"]) == (180, 24)


@pytest.mark.usefixtures("importable")
def test_nnx_and_a_search_after_the_training(folder, tmp_path, capsys):
    settings = ["--config.model=my_nnx.Net", "--config.search=my_searches.Counting", "--config.task=classification"]
    settings = ["--noreport", "--config.epochs=4", *settings]
    code = main(["train", f"--config={folder / 'config.py'}", f"--workdir={tmp_path}", *settings])
    assert code == 0, capsys.readouterr().err
    result = result_of(tmp_path)
    assert result["parameters"] == 64 * 24 + 24 + 2 * 24 + 24 * 4 + 4
    assert result["test_top1"] > 0.5
    assert len(list(tmp_path.rglob("counted.json"))) == 1


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(
    ("component", "wanted"),
    [
        (("loss", "my_loss.balanced"), "power = 0.5  of the count that a row's weight is divided by"),
        (("data", "my_data.stripes"), "contrast = 200  brightness of the stripe, 0..255"),
        (("search", "my_searches.Shrinking"), "every = 2  training steps between two of its own"),
        (("model", "my_linen.Net"), "width = 24  of the hidden layer"),
    ],
)
def test_their_options_are_listed(folder, component, wanted, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["options", *component]) == 0
    assert wanted in capsys.readouterr().out


@pytest.mark.usefixtures("importable")
def test_the_policy_loads_in_every_command(folder, tmp_path, capsys):
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.new("RGB", (24, 16), "red").save(tmp_path / "images" / "red.png")
    arguments = [f"--policy={folder / 'swirls.json'}", f"--images={tmp_path / 'images'}", f"--out={tmp_path / 'out'}"]
    assert main(["augment", *arguments]) == 0, capsys.readouterr().err
    assert (tmp_path / "out" / "red_0.png").exists()
