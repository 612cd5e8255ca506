"""Soft Augmentation against hard crops on Fashion-MNIST: 60,000 real images of 28 x 28.

    python main.py --config=configs/softaug_fashion_mnist.py               # a convnet, for two CPU cores
    python main.py --config=configs/softaug_fashion_mnist.py:wide_resnet   # WRN-16-4, for a GPU

Three variants side by side: the standard crop (by up to 4 pixels), the aggressive hard crop (by up to half the side, as
16 of 32 in the paper's first figure), and the soft crop with softened targets and weights. All of them flip.
Paper: none (Soft Augmentation has no results on Fashion-MNIST).
Cost: 3 variants x 5 seeds; the convnet takes about 5 minutes a run on two CPU cores.
"""

from jaxaug import defaults

MODELS = {
    # word after the colon: (model, its options, epochs)
    "convnet": ("convnet", {"widths": (24, 48, 96), "dropout_rate": 0.0}, 6),
    "wide_resnet": ("wide_resnet", {"depth": 16, "widen_factor": 4, "dropout_rate": 0.0, "dtype": "bfloat16"}, 60),
}


def get_config(model="convnet"):
    if model not in MODELS:
        raise ValueError(f"unknown model {model!r}: one of {', '.join(MODELS)}")
    name, options, epochs = MODELS[model]
    config = defaults.config()
    config.seeds, config.epochs = 5, epochs
    config.batch_size, config.eval_batch_size = 128, 1000
    config.save_every = 1
    config.data.name = "fashion_mnist"
    config.augment.pad_and_crop.update(padding=4, fill="zero")
    # sigma as in the paper's listing; the last epoch of 6 or the last 3 of 60 without the crop (released: 21 of 501)
    config.augment.soft_crop.update(sigma=0.3, relative=True, closing=max(0.05, 1 / epochs))
    config.model = {"name": name, "kw": options}
    config.optim.weight_decay = 5e-4
    crop = {"train": ("parts.pad_and_crop", "parts.flip")}
    config.variants = {
        "standard_crop": {"augment": crop},
        "hard_crop": {"augment": {**crop, "pad_and_crop": {"padding": 14}}},
        "soft_crop": {
            "augment": {"train": ("parts.flip",), "after": ("soft_crop.soft_crop",)},
            "loss": {"chain": ("targets.soften", "targets.divergence")},
        },
    }
    return config
