"""One contender at one size in a process of its own: `python -m augmentation.worker MODULE SIZE BATCH OPTIONS`.

Says on its standard output, a line of JSON each time: first what starting cost, or why it cannot; then, for every line
"SEED SECONDS" on its standard input, what calls for that long cost.
"""

import functools
import importlib
import importlib.metadata
import json
import platform
import sys
import time

import numpy as np
from turns import serve


def picture(size, count):
    """Smooth uint8 images [count size size 3] with a little noise; those of every contender are the same."""
    generator = np.random.default_rng(0)
    row, column = np.meshgrid(np.arange(size) / size, np.arange(size) / size, indexing="ij")
    images = np.empty((count, size, size, 3), np.uint8)
    for image in images:
        phase, frequency = generator.uniform(0, 2 * np.pi, 3), generator.uniform(-12, 12, (2, 3))
        wave = np.sin(row[..., None] * frequency[0] + column[..., None] * frequency[1] + phase)
        level, contrast = generator.uniform(90, 165, 3), generator.uniform(30, 80)
        image[:] = np.clip(level + contrast * wave + generator.normal(0, 6, wave.shape), 0, 255)
    return images


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def clock():
    return np.array([time.perf_counter(), time.process_time()])


def start(module, size, options, images):
    """(call, report): the seconds [wall, CPU] of `make` with its imports and of the first call with its compiling."""
    begin = clock()
    contender = importlib.import_module(f"augmentation.{module}")
    call = contender.make(size, **options)
    made = clock()
    out = call(images, 0)
    first = clock()
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != images.shape:
        raise TypeError(f"expected uint8 {images.shape}, got {type(out).__name__} {out.dtype} {out.shape}")
    versions = {package: version(package) for package in contender.PACKAGES}
    report = {
        "versions": {"python": platform.python_version(), "numpy": np.__version__, **versions},
        "make_seconds": (made - begin).tolist(),
        "first_call_seconds": (first - made).tolist(),
        "share_of_values_changed": float((out != images).mean()),
    }
    return call, report


def measure(call, images, seed, seconds):
    """The seconds [wall, CPU] of a call, over at least `seconds` of them; one goes before, so that all is awake."""
    call(images, seed)
    calls, begin = 0, clock()
    while calls == 0 or time.perf_counter() - begin[0] < seconds:
        calls += 1
        call(images, seed + calls)
    return ((clock() - begin) / calls).tolist()


def main():
    module, size, batch, options = sys.argv[1], *(json.loads(text) for text in sys.argv[2:])
    images = picture(size, batch)

    def begin():
        call, report = start(module, size, options, images)
        return functools.partial(measure, call, images), report

    serve(begin)


if __name__ == "__main__":
    main()
