"""Few labels: what the policy that DeepAA's search finds is worth beside the usual ones, at the same training budget.

    python benchmarks/deepaa_few_labels.py --output few_labels.json    # on two CPU cores two hours
    python benchmarks/deepaa_few_labels.py --output few_labels.json --only "digits, 30 a class"    # a quarter of one

For each seed a few labelled images, the same for all methods. The search sees nothing else: a network is trained on a
third of them, images are taken from another third, and gradients are matched with those of the last. Then the same
convnet is trained on all of them with each policy; test accuracy of the final epoch. Searched are also the policy with
all layers refined together after the search, and one by another direction, damped conjugate gradients through the
classifier, in place of the cosine's.
"""

from __future__ import annotations

import argparse
import copy
import json
import pathlib
import shutil
import statistics
import tempfile

from ml_collections import ConfigDict

from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.policies import search_space
from jaxaug.runs.workdir import environment
from jaxaug.train import trainer
from jaxaug.train.config import default_config
from jaxaug.train.experiment import load_dataset

SEEDS, LAYERS, BLACK = 5, 3, (0.0,)
SETTINGS = {
    # name: (data set, training rows, validation rows, channels of the convnet, epochs, pixels of the usual crop)
    "digits, 30 a class": ("digits", 200, 100, (16, 32), 100, 1),
    "digits, 100 a class": ("digits", 700, 300, (16, 32), 60, 1),
    "fashion_mnist, 100 a class": ("fashion_mnist", 700, 300, (16, 32, 64), 100, 2),
}
COSINE = {"direction": "matching.cosine", "part": ()}
SEARCHES = {
    "searched": COSINE,
    # At a tenth of the rate: every layer moves with each of the noisy draws.
    "searched, refined": {**COSINE, "deepaa": {"refine": 64, "learning_rate": 0.01}},
    "searched by conjugate gradients": {"direction": "directions.conjugate_gradient", "part": ("head",)},
}


def base(setting: str, seed: int) -> ConfigDict:
    """The labelled images as training and validation rows, and the network."""
    name, rows, validation, widths, epochs, _ = SETTINGS[setting]
    config = default_config()
    config.seed, config.batch_size, config.eval_batch_size = seed, 25, 1000
    config.epochs = config.eval_every = config.save_every = epochs
    config.data.update(name=name, seed=seed, validation_size=validation, train_size=rows)
    config.model = {"name": "convnet", "kw": {"widths": widths, "dropout_rate": 0.0}}
    config.optim.update(learning_rate=0.05, weight_decay=5e-4)
    return config


def searching(setting: str, seed: int, changes: dict) -> ConfigDict:
    config = base(setting, seed)
    config.search.update(name="deepaa", pool=0.5)
    config.search.space.cover = BLACK
    validation = int(config.data.validation_size) // 10
    config.search.deepaa.update(layers=LAYERS, updates=96, images=4, validation=validation, copies=2, factor=1, chunk=2)
    config.search.deepaa.learning_rate = 0.1
    config.search.update(changes)
    return config


def training(setting: str, seed: int, changes: dict) -> ConfigDict:
    config = base(setting, seed)
    config.data.rows = "both"
    config.update(copy.deepcopy(changes))
    return config


def of_policy(**options: str) -> dict:
    return {"augment": {"train": ("policy.policy",), "policy": options}}


def methods(setting: str, seed: int, workdir: pathlib.Path) -> dict[str, dict]:
    """name -> changes of the training; searches what has to be searched."""
    shape = load_dataset(base(setting, seed)).image_shape
    uniform = workdir / "uniform.json"
    search_space.make_search_space(shape, cover=BLACK).with_layers(LAYERS).replace(noise=("sign",)).save(uniform)
    crop = {"padding": SETTINGS[setting][-1], "fill": "zero"}
    found = {
        "no augmentation": {},
        "crop": {"augment": {"train": ("parts.pad_and_crop",), "pad_and_crop": crop}},
        "crop and flip": {"augment": {"train": ("parts.pad_and_crop", "parts.flip"), "pad_and_crop": crop}},
        "RandAugment(2, 9)": of_policy(preset="randaugment"),
        "TrivialAugment, wide": of_policy(preset="trivialaugment_wide"),
        "random deep policy": of_policy(file=str(uniform)),
    }
    trained = ""
    for name, changes in SEARCHES.items():
        config = searching(setting, seed, changes)
        config.search.checkpoint = trained
        folder = workdir / "search" / name / f"seed_{seed}"
        if config.search.deepaa.refine and not folder.exists():
            # It goes on where the search layer by layer has ended.
            shutil.copytree(workdir / "search" / "searched" / f"seed_{seed}" / "policy", folder / "policy")
        trainer.train_and_evaluate(config, folder, f"{setting}: {name}, seed {seed}")
        # One network serves all searches of a seed.
        trained = trained or str(folder)
        found[name] = of_policy(file=str(folder / "policy.json"))
    return found


def measure(setting: str, seed: int, workdir: pathlib.Path) -> dict[str, dict]:
    """name -> {"accuracy": %, "policy": figures of a searched one}."""
    found: dict[str, dict] = {}
    for name, changes in methods(setting, seed, workdir).items():
        result = trainer.train_and_evaluate(
            training(setting, seed, changes), workdir / name / f"seed_{seed}", f"{setting}: {name}"
        )
        found[name] = {"accuracy": 100 * result["test_top1"]}
        if name in SEARCHES:
            summary = workdir / "search" / name / f"seed_{seed}" / "result.json"
            found[name]["policy"] = json.loads(summary.read_text())["policy"]
    return found


def show(setting: str, runs: list[dict[str, dict]]) -> None:
    print(f"{setting}, {len(runs)} seeds")
    for name in runs[0]:
        values = [run[name]["accuracy"] for run in runs]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"  {name:32} {statistics.fmean(values):.2f} ± {spread:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="")
    parser.add_argument("--workdir", default="", help="where the runs are kept, to go on with them")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="SETTING")
    arguments = parser.parse_args()
    enable_compilation_cache()
    workdir = pathlib.Path(arguments.workdir or tempfile.mkdtemp())
    results: dict[str, list] = {setting: [] for setting in arguments.only}
    for setting in arguments.only:
        folder = workdir / setting
        folder.mkdir(parents=True, exist_ok=True)
        for seed in range(arguments.seeds):
            results[setting].append(measure(setting, seed, folder))
            show(setting, results[setting])
            if arguments.output:
                told = {"environment": environment(), "results": results}
                pathlib.Path(arguments.output).write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
