"""Few labels: 100 images of each class of Fashion-MNIST, the policy that DeepAA's search finds beside the usual ones.

    python benchmarks/deepaa_few_labels.py --output benchmarks/results/deepaa_few_labels_cpu.json    # 50 minutes

For each of five seeds 1,000 labelled images, the same for all. The search sees nothing else: a network is trained on
350 of them, images are taken from 350 others, and gradients are matched with those of the last 300. Then the same
convnet is trained on all 1,000 for 40 epochs with each policy; test accuracy of the final epoch. Searched are also the
policy with all layers refined together after the search (`refine`), and one by another direction, damped conjugate
gradients through the classifier, in place of the cosine's.
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

from jaxaug import defaults, devices, job, loop
from jaxaug.augment import spaces
from jaxaug.workdir import environment

SEEDS, LAYERS = 5, 3
COSINE = {"direction": "matching.cosine", "part": ()}
SEARCHES = {
    "searched": COSINE,
    "searched, refined": {**COSINE, "deepaa": {"refine": 64}},
    "searched by conjugate gradients": {"direction": "directions.conjugate_gradient", "part": ("head",)},
}
POLICY = {"augment": {"train": ("policy.policy",)}}


def base(seed: int) -> ConfigDict:
    """1,000 labelled images: 700 training rows, 300 validation rows."""
    config = defaults.config()
    config.seed, config.batch_size, config.eval_batch_size = seed, 50, 1000
    config.data.update(name="fashion_mnist", seed=seed, validation_size=300, train_size=700)
    config.model = {"name": "convnet", "kw": {"widths": (16, 32, 64), "dropout_rate": 0.0}}
    config.optim.update(learning_rate=0.05, weight_decay=5e-4)
    return config


def searching(seed: int, changes: dict) -> ConfigDict:
    config = base(seed)
    config.epochs = config.eval_every = config.save_every = 60
    config.batch_size = 25
    config.search.update(name="deepaa", pool=350)
    config.search.deepaa.update(layers=LAYERS, updates=96, items=4, validation=30, copies=2, factor=1, chunk=2)
    config.search.deepaa.learning_rate = 0.1
    config.search.update(changes)
    return config


def training(seed: int, changes: dict) -> ConfigDict:
    config = base(seed)
    config.epochs = config.eval_every = config.save_every = 40
    config.data.rows = "both"
    config.update(changes)
    return config


def of_file(path: pathlib.Path) -> dict:
    return {"augment": {**POLICY["augment"], "policy": {"file": str(path)}}}


def of_preset(name: str) -> dict:
    return {"augment": {**POLICY["augment"], "policy": {"preset": name}}}


def methods(seed: int, workdir: pathlib.Path) -> dict[str, dict]:
    """name -> changes of the training; searches what has to be searched."""
    uniform = spaces.space(job.read(base(seed)).image_shape).with_layers(LAYERS).replace(noise=("sign",))
    uniform.save(workdir / "uniform.json")
    found = {
        "no augmentation": {},
        "crop and flip": {
            "augment": {"train": ("parts.pad_and_crop", "parts.flip"), "pad_and_crop": {"padding": 2, "fill": "zero"}}
        },
        "RandAugment(2, 9)": of_preset("randaugment"),
        "TrivialAugment, wide": of_preset("trivialaugment_wide"),
        "random deep policy": of_file(workdir / "uniform.json"),
    }
    trained = ""
    for name, changes in SEARCHES.items():
        config = searching(seed, changes)
        config.search.checkpoint = trained
        folder = workdir / "search" / name / f"seed_{seed}"
        if config.search.deepaa.refine and not folder.exists():
            # It goes on where the search layer by layer has ended.
            shutil.copytree(workdir / "search" / "searched" / f"seed_{seed}" / "policy", folder / "policy")
        loop.run(config, folder, f"{name}, seed {seed}")
        # One network serves all searches of a seed.
        trained = trained or str(folder)
        found[name] = of_file(folder / "policy.json")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="")
    parser.add_argument("--workdir", default="", help="where the runs are kept, to go on with them")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(SEEDS)))
    arguments = parser.parse_args()
    devices.keep_compilations()
    workdir = pathlib.Path(arguments.workdir or tempfile.mkdtemp())
    workdir.mkdir(parents=True, exist_ok=True)
    accuracy: dict[str, list[float]] = {}
    policies: dict[str, list] = {name: [] for name in SEARCHES}
    for seed in arguments.seeds:
        for name, changes in methods(seed, workdir).items():
            folder = workdir / name / f"seed_{seed}"
            result = loop.run(training(seed, copy.deepcopy(changes)), folder, f"{name}, seed {seed}")
            accuracy.setdefault(name, []).append(100 * result["test_top1"])
            if name in SEARCHES:
                summary = workdir / "search" / name / f"seed_{seed}" / "result.json"
                policies[name].append(json.loads(summary.read_text())["policy"])
        for name, values in accuracy.items():
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            print(f"{name:32} {statistics.fmean(values):.2f} ± {spread:.2f}  (n = {len(values)})", flush=True)
        if arguments.output:
            told = {"environment": environment(), "test_accuracy": accuracy, "policies": policies}
            pathlib.Path(arguments.output).write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
