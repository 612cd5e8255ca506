"""Soft Augmentation against hard crops on scikit-learn's 1,797 real digits of 8 x 8 pixels.

    python main.py --config=configs/softaug_digits.py

Three variants side by side: the standard crop (by up to 1 pixel), the aggressive hard crop (by up to half the side, as
16 of 32 in the paper's first figure), and the soft crop with softened targets and weights. All of them fill with black,
which is the background of these images; so does the test of translation, the occluding patch is grey.
Paper: none (Soft Augmentation has no results on digits). Ours: docs/results.md.
Cost: 15 runs, about 3 minutes on two CPU cores.
"""

from jaxaug.train.config import default_config


def get_config():
    config = default_config()
    config.seeds = 5
    config.epochs = 30
    config.batch_size = 64
    config.save_every = 30
    config.data.name = "digits"
    config.robustness = ("occlusion", {"name": "translation", "fill": "black"})
    config.model = {"name": "convnet", "widths": (32, 64, 128), "dropout_rate": 0.0}
    crop = {"name": "pad_and_crop", "padding": 1, "fill": "zero"}
    # Half the paper's 0.3, as a digit fills its image: the best of 0.1, 0.15, 0.2 and 0.3 on 300 validation rows.
    soft_crop = {"name": "soft_crop", "sigma": 0.15, "relative": True, "fill": "zero", "closing": 0.1}
    config.variants = {
        "standard_crop": {"augment": {"train": (crop,)}},
        "hard_crop": {"augment": {"train": ({**crop, "padding": 4},)}},
        "soft_crop": {
            "augment": {"train": (soft_crop,)},
            "loss": ("soft_targets", "kl_divergence"),
        },
    }
    return config
