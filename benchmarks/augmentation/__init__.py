"""The contenders of benchmarks/augment.py: a file for each library, each with

PACKAGES: the distributions whose versions the result names, and
make(size, **options) -> call(images, seed) -> images, both uint8 [B size size 3] NumPy arrays on the host.

The call draws its own parameters and changes layouts and types itself: all of that is timed. Libraries are imported
in `make`, so that the runner needs none of them.
"""
