"""Does DeepAA's search find what is known to be there? Digits with an operation made helpful and one made harmful.

    python benchmarks/deepaa_planted.py --output benchmarks/results/deepaa_planted_cpu.json     # 2 minutes

Helpful: the validation digits are shifted sideways by two pixels of eight, to the left or to the right, the training
digits are not; a policy that shifts brings the gradients together. Harmful: turning digits upside down, which makes a 6
a 9. One layer over Identity, FlipVertical, Invert, and TranslateX and TranslateY by 2 and 4 pixels both ways; five
seeds of everything (cut, network, search). Told: the probability of each operation against that of uniform branches.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile

import numpy as np
from ml_collections import ConfigDict

import jaxaug as ja
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.runs import environment

SEEDS, EPOCHS, UPDATES = 5, 40, 256
OPS = ("FlipVertical", "TranslateX", "TranslateY", "Invert")


def arrays(seed: int) -> dict[str, np.ndarray]:
    """Digits as arrays for an .npz, the validation digits shifted."""
    data = ja.data.load("digits", seed=seed, validation_size=0.3)
    random = np.random.default_rng(seed)
    moves = random.choice([-2, 2], len(data.validation))
    shifted = np.stack([shift(image, move) for image, move in zip(data.validation.image, moves, strict=True)])
    return {
        **{"train_image": data.train.image, "train_label": data.train.label},
        **{"validation_image": shifted, "validation_label": data.validation.label},
        **{"test_image": data.test.image, "test_label": data.test.label},
    }


def shift(image: np.ndarray, columns: int) -> np.ndarray:
    """The image [H W C] moved by some columns, black where nothing was."""
    moved = np.zeros_like(image)
    source, target = (slice(max(-s, 0), image.shape[1] - max(s, 0)) for s in (columns, -columns))
    moved[:, target] = image[:, source]
    return moved


def config_of(path: pathlib.Path, seed: int, epochs: int, updates: int) -> ConfigDict:
    config = ja.train.default_config()
    config.seed, config.epochs, config.batch_size = seed, epochs, 32
    config.eval_every = config.save_every = epochs
    config.data.update(name="npz", path=str(path))
    config.model = {"name": "convnet", "widths": (16, 32), "dropout_rate": 0.0}
    config.optim.update(learning_rate=0.05, weight_decay=5e-4)
    config.search = {"name": "deepaa", "pool": 0.5, "ops": OPS, "levels": 5}
    config.search.update(num_layers=1, updates=updates, images=8, identity=0.0, learning_rate=0.05)
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the network")
    parser.add_argument("--updates", type=int, default=UPDATES, help="of the policy")
    arguments = parser.parse_args()
    enable_compilation_cache()
    workdir = pathlib.Path(tempfile.mkdtemp())
    found: dict[str, list[float]] = {name: [] for name in ("Identity", *OPS)}
    uniform: dict[str, float] = {}
    for seed in range(arguments.seeds):
        file = workdir / f"{seed}.npz"
        np.savez(file, **arrays(seed))
        config = config_of(file, seed, arguments.epochs, arguments.updates)
        ja.train.train_and_evaluate(config, workdir / f"seed_{seed}", f"seed {seed}")
        policy = ja.policies.load(workdir / f"seed_{seed}" / "policy.json")
        names, probability = [policy.names[i] for i in policy.op[0, 0]], policy.probabilities()[1][0, 0]
        for name in found:
            found[name].append(float(sum(p for n, p in zip(names, probability, strict=True) if n == name)))
            uniform[name] = names.count(name) / len(names)
    times = {name: [p / uniform[name] for p in shares] for name, shares in found.items()}
    for name, ratios in times.items():
        print(f"{name:14} uniform {uniform[name]:.3f}, found / uniform: " + ", ".join(f"{r:.2f}" for r in ratios))
    if arguments.output:
        told = {"environment": environment(), "uniform": uniform, "found": found, "times_uniform": times}
        pathlib.Path(arguments.output).write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
