"""Few labels: what the policy that DeepAA's search finds is worth beside the usual ones, at the same training budget.

    python benchmarks/deepaa_few_labels.py --output few_labels.json    # on two CPU cores two hours
    python benchmarks/deepaa_few_labels.py --output few_labels.json --only "digits, 30 a class"    # a quarter of one

For each seed a few labelled images, the same for all methods. The search sees nothing else: a network is trained on a
third of them, images are taken from another third, and gradients are matched with those of the last. Then the same
convnet is trained on all of them with each policy; test accuracy of the final epoch. Searched are also the policy with
all layers refined together after the search, and one by another direction, that of damped conjugate gradients through
the classifier, in place of the cosine's.
"""

from __future__ import annotations

import argparse
import copy
import json
import pathlib
import shutil
import statistics
import tempfile
from typing import Any

from ml_collections import ConfigDict

import jaxaug as ja
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.runs import environment
from jaxaug.train.experiment import load_dataset

SEEDS, LAYERS, BLACK = 5, 3, (0.0,)
SETTINGS = {
    # name: (data set, training rows, validation rows, channels of the convnet, epochs, pixels of the usual crop)
    "digits, 30 a class": ("digits", 200, 100, (16, 32), 100, 1),
    "digits, 100 a class": ("digits", 700, 300, (16, 32), 60, 1),
    "fashion_mnist, 100 a class": ("fashion_mnist", 700, 300, (16, 32, 64), 100, 2),
}
SEARCHES: dict[str, dict[str, Any]] = {
    "searched": {},
    # At a tenth of the rate: every layer moves with each of the noisy draws.
    "searched, refined": {"refine": 64, "learning_rate": 0.01},
    "searched by conjugate gradients": {"solver": "conjugate_gradient", "part": ("head",)},
}


def base(setting: str, seed: int) -> ConfigDict:
    """The labelled images as training and validation rows, and the network."""
    name, rows, validation, widths, epochs, _ = SETTINGS[setting]
    config = ja.train.default_config()
    config.seed, config.batch_size, config.eval_batch_size = seed, 25, 1000
    config.epochs = config.eval_every = config.save_every = epochs
    config.data.update(name=name, seed=seed, validation_size=validation, train_size=rows)
    config.model = {"name": "convnet", "widths": widths, "dropout_rate": 0.0}
    config.optim.update(learning_rate=0.05, weight_decay=5e-4)
    return config


def searching(setting: str, seed: int, changes: dict) -> ConfigDict:
    config = base(setting, seed)
    validation = int(config.data.validation_size) // 10
    config.search = {"name": "deepaa", "pool": 0.5, "cover": BLACK, "num_layers": LAYERS, "updates": 96}
    config.search.update(images=4, validation=validation, copies=2, factor=1, chunk=2, learning_rate=0.1)
    config.search.update(changes)
    return config


def training(setting: str, seed: int, changes: dict) -> ConfigDict:
    config = base(setting, seed)
    config.data.rows = "both"
    config.update(copy.deepcopy(changes))
    return config


def augmented_by(*transforms: str | dict[str, Any]) -> dict[str, Any]:
    return {"augment": {"train": transforms}}


def policy(**options: str) -> dict[str, Any]:
    return {"name": "policy", **options}


def methods(setting: str, seed: int, workdir: pathlib.Path) -> dict[str, dict]:
    """name -> changes of the training; searches what has to be searched."""
    shape = load_dataset(base(setting, seed)).image_shape
    uniform = workdir / "uniform.json"
    ja.policies.make_search_space(shape, cover=BLACK).with_layers(LAYERS).replace(noise=("sign",)).save(uniform)
    crop = {"name": "pad_and_crop", "padding": SETTINGS[setting][-1], "fill": "zero"}
    found = {
        "no augmentation": {},
        "crop": augmented_by(crop),
        "crop and flip": augmented_by(crop, "flip"),
        "RandAugment(2, 9)": augmented_by(policy(preset="randaugment")),
        "TrivialAugment, wide": augmented_by(policy(preset="trivialaugment_wide")),
        "random deep policy": augmented_by(policy(file=str(uniform))),
    }
    trained = ""
    for name, changes in SEARCHES.items():
        config = searching(setting, seed, changes)
        config.search.network = trained
        folder = workdir / "search" / name / f"seed_{seed}"
        if "refine" in changes and not folder.exists():
            # It goes on where the search layer by layer has ended.
            shutil.copytree(workdir / "search" / "searched" / f"seed_{seed}" / "policy", folder / "policy")
        ja.train.train_and_evaluate(config, folder, f"{setting}: {name}, seed {seed}")
        # One network serves all searches of a seed.
        trained = trained or str(folder)
        found[name] = augmented_by(policy(file=str(folder / "policy.json")))
    return found


def measure(setting: str, seed: int, workdir: pathlib.Path) -> dict[str, dict]:
    """name -> {"accuracy": %, "policy": figures of a searched one}."""
    found: dict[str, dict] = {}
    for name, changes in methods(setting, seed, workdir).items():
        result = ja.train.train_and_evaluate(
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
