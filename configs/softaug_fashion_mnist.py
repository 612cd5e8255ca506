"""Soft Augmentation against hard crops on Fashion-MNIST: real images of 28 x 28.

    python main.py --config=configs/softaug_fashion_mnist.py               # a convnet on 5,000 rows, for two CPU cores
    python main.py --config=configs/softaug_fashion_mnist.py:wide_resnet   # WRN-16-4 on all 60,000, for a GPU

Three variants side by side: the standard crop (by up to 4 pixels), the aggressive hard crop (by up to half the side, as
16 of 32 in the paper's first figure), and the soft crop with softened targets and weights. All of them flip, and fill
with black, which is the background of these images; so does the test of translation, the occluding patch is grey.
Paper: none (Soft Augmentation has no results on Fashion-MNIST). Ours: docs/results.md (the convnet).
Cost: 3 variants x 5 seeds; the convnet takes about 2 minutes a run on two CPU cores.
"""

from jaxaug.train.config import default_config

MODELS = {
    # word after the colon: (model, its options, epochs, training rows)
    "convnet": ("convnet", {"widths": (16, 32, 64), "dropout_rate": 0.0}, 40, 5_000),
    "wide_resnet": ("wide_resnet", {"depth": 16, "widen_factor": 4, "dropout_rate": 0.0, "dtype": "bfloat16"}, 60, 0),
}


def get_config(model="convnet"):
    if model not in MODELS:
        raise ValueError(f"unknown model {model!r}: one of {', '.join(MODELS)}")
    name, options, epochs, rows = MODELS[model]
    config = default_config()
    config.seeds, config.epochs = 5, epochs
    config.batch_size, config.eval_batch_size = 128, 1000
    config.eval_every, config.save_every = 10, 10
    config.data.update(name="fashion_mnist", train_size=rows)
    config.robustness = ("occlusion", {"name": "translation", "fill": "black"})
    config.model = {"name": name, **options}
    config.optim.weight_decay = 5e-4
    crop = {"name": "pad_and_crop", "padding": 4, "fill": "zero"}
    # sigma: as on digits, chosen there on validation; closing: the released code's last 21 of 501 epochs
    soft_crop = {"name": "soft_crop", "sigma": 0.15, "relative": True, "fill": "zero", "closing": 0.05}
    config.variants = {
        "standard_crop": {"augment": {"train": (crop, "flip")}},
        "hard_crop": {"augment": {"train": ({**crop, "padding": 14}, "flip")}},
        "soft_crop": {
            "augment": {"train": (soft_crop, "flip")},
            "loss": ("soft_targets", "kl_divergence"),
        },
    }
    return config
