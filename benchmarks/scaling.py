"""What the papers' training steps cost on TPUs that are not here, as their compiler says: docs/scaling.md.

    python benchmarks/scaling.py [--cases WRN] [--topologies v5e:2x4] [--output benchmarks/results/scaling_v5e.json]

Needs the TPU compiler (`pip install libtpu`, see `jaxaug plan`), no TPU. Every step takes minutes to compile; what the
output has already is not compiled again, and --table only prints it.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import time

TOPOLOGIES = ("v5e:1x1", "v5e:2x4", "v5e:8x8", "v5e:16x16")
# Compilers spend less time where this is below 0; they then copy less into fast memory, and report less traffic.
EFFORT = "-1.0"


def wide_resnet(config, devices):
    """WRN-28-10 with ISDA on CIFAR-10, bfloat16, 1,024 rows."""
    config.batch_size, config.model.dtype = 1024, "bfloat16"


def apart(config, devices):
    """The same with BatchNorm's statistics of each device."""
    wide_resnet(config, devices)
    config.batch_norm_groups = devices


def small(config, devices):
    """The same with parameters spread over the devices, in micro-batches of 16 rows."""
    wide_resnet(config, devices)
    config.mesh.fsdp = devices
    config.accumulate = max(1024 // devices // 16, 1)


def plain_cifar(config, devices):
    """WRN-28-10 without ISDA."""
    wide_resnet(config, devices)
    config.loss = ()


def randaugment(config, devices):
    """WRN-28-10 with RandAugment and no ISDA."""
    plain_cifar(config, devices)
    policy = {"name": "policy", "preset": "randaugment", "num_layers": 2, "magnitude": 14}
    config.augment.train = (*config.augment.train, policy)


def deepaa(config, devices):
    """ResNet-50 with DeepAA's policy on ImageNet, bfloat16, 2,048 rows, as its config has it."""


def plain_imagenet(config, devices):
    """ResNet-50 without augmentation."""
    config.augment.train = ()


def all_methods(config, devices):
    """ResNet-50 with DeepAA's policy, soft targets by what is seen, and ISDA."""
    policy = {**config.augment.train[0], "softens": ("all",)}
    config.augment.train = (policy,)
    config.loss = (
        {"name": "soft_targets", "power": 2.0},
        {"name": "isda", "strength": 7.5, "covariance": "diagonal", "schedule": "epoch"},
    )


def soft_crop(config, devices):
    """WRN-28-10 with Soft Augmentation on CIFAR-100, bfloat16, 1,024 rows."""
    config.batch_size, config.model.dtype = 1024, "bfloat16"


def isda_imagenet(config, devices):
    """ResNet-50 with ISDA on ImageNet, bfloat16, 1,024 rows."""
    config.batch_size, config.model = 1024, {"name": "resnet50", "dtype": "bfloat16"}


# name: (config, what is changed of it, topologies)
CASES = {
    "WRN-28-10 + ISDA": ("isda_cifar", wide_resnet, TOPOLOGIES),
    "WRN-28-10 + ISDA, BatchNorm per device": ("isda_cifar", apart, TOPOLOGIES[1:]),
    "WRN-28-10 + ISDA, spread, micro-batches": ("isda_cifar", small, TOPOLOGIES[1:2]),
    "WRN-28-10": ("isda_cifar", plain_cifar, TOPOLOGIES[1:2]),
    "WRN-28-10 + RandAugment": ("isda_cifar", randaugment, TOPOLOGIES[1:2]),
    "ResNet-50": ("deepaa_eval_imagenet", plain_imagenet, TOPOLOGIES[1:2]),
    "ResNet-50 + DeepAA": ("deepaa_eval_imagenet", deepaa, TOPOLOGIES),
    "ResNet-50 + DeepAA + soft targets + ISDA": ("deepaa_eval_imagenet", all_methods, TOPOLOGIES[1:2]),
    "ResNet-50 + ISDA": ("isda_imagenet", isda_imagenet, TOPOLOGIES),
    "WRN-28-10 + Soft Augmentation": ("softaug_cifar", soft_crop, TOPOLOGIES),
}


def measured(name, topology):
    """The plan of a case's training step, as JSON."""
    from configured import config_of

    from jaxaug.planning.plan import plan
    from jaxaug.planning.topology import devices_of

    config_name, change, _ = CASES[name]
    config = config_of(config_name)
    change(config, len(devices_of(topology).devices))
    began = time.perf_counter()
    found = plan(config, topology, steps=("train",), largest=False).as_json()
    return {**found, "compiled_in": round(time.perf_counter() - began)}


def table(results):
    """Markdown: a line for each case and topology."""
    lines = [
        "| step | devices | MiB a device | GFLOPs a device | GB of memory traffic | collectives | MB | ms at least |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for name, each in results.items():
        for found in sorted(each.values(), key=lambda found: found["devices"]):
            step = found["steps"]["train"]
            head = f"| {name} | {found['devices']} | "
            if not step["fits"]:
                lines += [f"{head}does not fit ({step['memory'] / 2**30:.1f} GiB) | | | | | |"]
                continue
            kinds = step["collectives"].values()
            count, size = (sum(kind[key] for kind in kinds) for key in ("count", "bytes"))
            figures = (
                f"{step['memory'] / 2**20:,.0f} | {step['flops'] / 1e9:,.1f} | {step['bytes_accessed'] / 1e9:,.2f}"
            )
            lines += [f"{head}{figures} | {count} | {size / 1e6:,.1f} | {1e3 * step['least_seconds']:,.2f} |"]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default="", help="only those whose name has this in it")
    parser.add_argument("--topologies", default=",".join(TOPOLOGIES))
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("benchmarks/results/scaling_v5e.json"))
    parser.add_argument("--table", action="store_true", help="compile nothing, print what there is")
    chosen = parser.parse_args()
    before = json.loads(chosen.output.read_text()) if chosen.output.exists() else {}
    results = before.get("cases", {})
    os.environ.setdefault("JAX_EXEC_TIME_OPTIMIZATION_EFFORT", EFFORT)
    for name, (_, _, topologies) in CASES.items():
        for topology in topologies:
            known = topology in results.get(name, {})
            if chosen.table or known or chosen.cases not in name or topology not in chosen.topologies.split(","):
                continue
            from jaxaug.planning.topology import prepare_environment

            prepare_environment(topology, os.environ)
            results.setdefault(name, {})[topology] = measured(name, topology)
            import jax

            about = {"command": "python benchmarks/scaling.py", "jax": jax.__version__, "effort": EFFORT}
            chosen.output.write_text(json.dumps({**about, "cases": results}, indent=1) + "\n")
    print(table({name: results[name] for name in CASES if name in results}))


if __name__ == "__main__":
    main()
