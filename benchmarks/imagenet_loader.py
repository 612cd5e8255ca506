"""How fast photographs are read: `imagenet`'s threads beside torchvision's DataLoader, on the same files.

    python benchmarks/imagenet_loader.py --photographs DIR --torch_python PYTHON [--rounds 3] [--output FILE]

DIR holds <class>/*.JPEG; PYTHON is that of an environment with torch and torchvision. Each arm decodes all photographs
once: for training a random resized crop to 224, for evaluation the shorter side to 256 and the middle 224, both
bilinear, to uint8 batches of 64. Each is a process of its own, of which the reading alone is timed; they take turns, in
an order that is reversed every round. Reported: images for each second of processor time, workers included, which is
the throughput of a core; images for each second on the clock; the ratio of the arms. The evaluated pixels of both are
compared, all of them, by a digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH, SIZE, RESIZE = 64, 224, 256
KINDS = ("training", "evaluation")
WORKERS = (1, 2)


def ours(folder, kind, workers):
    """Batches by threads of this process."""
    import numpy as np
    import PIL

    import jaxaug
    from jaxaug.data.lazy_images import LazyImages
    from jaxaug.data.photographs import Cut, Photographs
    from jaxaug.data.storage.file_table import find_members, table_of

    members = find_members(pathlib.Path(folder), pathlib.Path(folder))
    images = LazyImages(
        Photographs(table_of(members, pathlib.Path(folder)), Cut(SIZE, RESIZE)), np.arange(len(members)), workers
    )

    def batches():
        for start in range(0, len(images), BATCH):
            rows = np.arange(start, min(start + BATCH, len(images)))
            yield images.read(rows, 0, np.zeros_like(rows) if kind == "training" else None)[0]

    return batches, {"jaxaug": jaxaug.__version__, "pillow": PIL.__version__, "numpy": np.__version__}


def theirs(folder, kind, workers):
    """Batches by torch's worker processes, from a folder that holds all classes."""
    import PIL
    import torch
    import torchvision
    from torchvision import transforms

    torch.set_num_threads(1)
    cut = (
        [transforms.RandomResizedCrop(SIZE)]
        if kind == "training"
        else [transforms.Resize(RESIZE), transforms.CenterCrop(SIZE)]
    )
    data = torchvision.datasets.ImageFolder(folder, transforms.Compose([*cut, transforms.PILToTensor()]))
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, num_workers=workers)

    def batches():
        for image, _ in loader:
            yield image.permute(0, 2, 3, 1).numpy()

    return batches, {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "torchvision's pillow": PIL.__version__,
    }


def measure(arm, folder, kind, workers):
    """One reading of all photographs, timed, and what was read."""
    batches, versions = {"jaxaug": ours, "torchvision": theirs}[arm](folder, kind, workers)
    digest, count, hashing = hashlib.sha256(), 0, 0.0
    began, cpu = time.perf_counter(), _cpu()
    for batch in batches():
        count += len(batch)
        if kind == "evaluation":
            before = time.process_time()
            digest.update(batch.tobytes())
            hashing += time.process_time() - before
    took = {"cpu_s": _cpu() - cpu - hashing, "wall_s": time.perf_counter() - began - hashing}
    return {"images": count, **took, "digest": digest.hexdigest(), "versions": versions}


def _cpu():
    """Seconds of processor time of this process and of the workers that have ended."""
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime


def run(python, arm, folder, kind, workers):
    """The measurement in a process of its own."""
    command = [python, __file__, "--arm", arm, "--photographs", folder, "--kind", kind, "--workers", str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT)
    return json.loads(found.stdout.splitlines()[-1])


def table(folder, torch_python, rounds):
    """(arm by arm the figures of all rounds, versions, whether all evaluated pixels are equal)."""
    cases = [(kind, workers) for kind in KINDS for workers in WORKERS]
    arms = (("jaxaug", sys.executable), ("torchvision", torch_python))
    found, versions = {}, {"python": platform.python_version()}
    for number in range(rounds):
        for kind, workers in cases[:: -1 if number % 2 else 1]:
            for arm, python in arms[:: -1 if number % 2 else 1]:
                one = run(python, arm, folder, kind, workers)
                versions |= one.pop("versions")
                found.setdefault((kind, workers), {}).setdefault(arm, []).append(one)
    return found, versions


def summary(found):
    """kind, workers -> images/s of both arms, by core and by the clock, and their ratio."""
    rows = {}
    for (kind, workers), arms in found.items():
        row = {}
        for arm, ones in arms.items():
            row[arm] = {
                "images_per_cpu_second": statistics.median(one["images"] / one["cpu_s"] for one in ones),
                "images_per_second": statistics.median(one["images"] / one["wall_s"] for one in ones),
            }
        ratios = [
            (b["cpu_s"] / a["cpu_s"], b["wall_s"] / a["wall_s"])
            for a, b in zip(arms["jaxaug"], arms["torchvision"], strict=True)
        ]
        row["jaxaug_over_torchvision"] = {
            "per_cpu_second": statistics.median(ratio[0] for ratio in ratios),
            "per_second": statistics.median(ratio[1] for ratio in ratios),
        }
        if kind == "evaluation":
            row["equal_pixels"] = len({one["digest"] for ones in arms.values() for one in ones}) == 1
        rows[f"{kind}, {workers} workers"] = row
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", required=True)
    parser.add_argument("--torch_python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", default="")
    for name in ("arm", "kind"):
        parser.add_argument(f"--{name}", default="", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        print(json.dumps(measure(options.arm, options.photographs, options.kind, options.workers)))
        return
    found, versions = table(options.photographs, options.torch_python, options.rounds)
    content = {
        "command": f"python benchmarks/imagenet_loader.py --rounds {options.rounds}",
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "photographs": f"{next(iter(found.values()))['jaxaug'][0]['images']} of ImageNet, shorter side 256",
        "versions": versions,
        "cases": summary(found),
    }
    text = json.dumps(content, indent=1)
    print(text)
    if options.output:
        pathlib.Path(options.output).write_text(text + "\n")


if __name__ == "__main__":
    main()
