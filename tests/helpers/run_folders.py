"""Folders of runs with nothing in them but what a table of many runs reads."""

import json

TOP1 = {0: 0.80, 1: 0.84, 2: 0.85}  # seed -> figure


def write_run(folder, seed=0, /, top1=None, complete=True, changes=None, **data):
    """A run's folder with nothing in it but what is read."""
    config = {"seed": seed, "epochs": 8, "data": {"name": "digits", "seed": 0, "imbalance": 1.0, "noise": 0.0, **data}}
    config |= {"loss": [], "optim": {"name": "sgd", "learning_rate": 0.1, "milestones": []}, **(changes or {})}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "environment.json").write_text("{}")
    top1 = TOP1[seed] if top1 is None else top1
    result = {"test_top1": top1, "test_nll": 1 - top1, "chosen_top1": top1 - 0.01, "best_on_test_top1": top1 + 0.02}
    if complete:
        (folder / "result.json").write_text(json.dumps({**result, "reliability": {"share": []}}))
    return folder


def write_runs(folder):
    """Two distortions, eight methods; three seeds of one of them, the last with another seed of the data."""
    for seed in (0, 1):
        write_run(folder / "a" / "SEP_BOTH" / f"seed_{seed}", seed, imbalance=10.0, noise=0.3)
    write_run(folder / "b" / "SEP_BOTH" / "seed_2", 2, imbalance=10, noise=0.3, seed=5)
    for name in ("validation_only", "train_and_validation", "mine", "SHA", "compat_SEP_SOFT", "SEP_SOFT", "plain"):
        write_run(folder / "a" / name / "seed_0", imbalance=10.0, noise=0.3)
    write_run(folder / "a" / "clean" / "seed_0", imbalance=100.0)
    write_run(folder / "a" / "plain" / "seed_1", 1, complete=False, imbalance=10.0, noise=0.3)
    return folder
