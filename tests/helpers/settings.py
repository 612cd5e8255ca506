"""Folders, how programs are compiled, float64 on demand, the configs of the project, and one of a run of a second."""

import contextlib
import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"
# Most of the time of the tests goes into compiling: unoptimised code takes a third less, XLA's older emitters of fused
# loops two fifths of what is left, and one module for a program instead of 32 a twentieth. The tests hold with XLA's
# defaults too: XLA_FLAGS of one's own win.
QUICK = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1"
)
# (H, W, C) of what the configs train on.
SHAPES = {
    **{"digits": (8, 8, 1), "mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1)},
    **dict.fromkeys(("cifar10", "cifar100", "svhn"), (32, 32, 3)),
    "folder": (256, 256, 3),
    "imagenet": (224, 224, 3),
    "label_maps": (180, 240, 3),
    "cityscapes": (1024, 2048, 3),
}


@contextlib.contextmanager
def double_precision():
    """Run a block with float64 enabled."""
    import jax  # not before conftest.py has set how it compiles

    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", False)


def module_of(name):
    """The module of configs/<name>.py."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tiny_config(**changes):
    """ISDA on real digits with a network that trains in a second: 21 steps an epoch."""
    from jaxaug.train.config import default_config

    config = default_config()
    config.update({"epochs": 1, "save_every": 1, "log_every": 3, "eval_batch_size": 128})
    config.augment.train = ({"name": "pad_and_crop", "padding": 1, "fill": "zero"},)
    config.model = {"name": "convnet", "widths": (8, 16), "dropout_rate": 0.1}
    config.loss = ({"name": "isda", "strength": 0.5, "covariance": "full", "schedule": "step"},)
    config.update(changes)
    return config
