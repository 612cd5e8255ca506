"""ISDA on CIFAR-10 and CIFAR-100: every row of the paper's CIFAR tables (T-PAMI 2021, Tables 2 and 4), and of its code.

    python main.py --config=configs/isda_cifar.py                                   # WRN-28-10, CIFAR-10
    python main.py --config=configs/isda_cifar.py:wide_resnet-28-10,autoaugment     # or cutout, randaugment: Table 4
    python main.py --config=configs/isda_cifar.py:resnet-110 --config.data.name=cifar100
    python main.py --config=configs/isda_cifar.py --config.loss='()'                # plain cross-entropy

The word after the colon names the row (see ROWS). Test error % in the paper, mean of 5 runs, plain / ISDA:
    row                    CIFAR-10        CIFAR-100
    resnet-32              7.39 / 7.09     31.20 / 30.27
    resnet-110             6.76 / 6.33     28.67 / 27.57
    se_resnet-110          6.14 / 5.96     27.30 / 26.63
    wide_resnet-16-8       4.25 / 4.04     20.24 / 19.91
    wide_resnet-28-10      3.82 / 3.58     18.53 / 17.98
    resnext-29-8x64        3.86 / 3.67     18.16 / 17.43
    densenet_bc-100-12     4.90 / 4.54     22.61 / 22.10
    shake_shake-26-2x32    3.45 / 3.20     20.12 / 19.45
    shake_shake-26-2x112   2.92 / 2.61     17.42 / 16.73
with                       cutout         randaugment    autoaugment
    wide_resnet-28-10      2.99 / 2.83    2.78 / 2.42    2.65 / 2.56     CIFAR-10
    shake_shake-26-2x112   2.36 / 2.25    2.10 / 1.76    2.01 / 1.82
    wide_resnet-28-10      18.05 / 16.95  17.30 / 15.97  16.60 / 15.62   CIFAR-100
    shake_shake-26-2x112   17.34 / 16.24  15.95 / 14.24  15.21 / 13.87
Of its code alone, without figures: se_wide_resnet-28-10, resnext-29-16x64, shake_resnext-29-2x4x64 and
shake_pyramidnet-272. RandAugment is not in its code: two operations of magnitude 14, as that paper has it for CIFAR-10.
AutoAugment's are torchvision's operations, see docs/deviations.md.
Ours: not measured yet (no CIFAR images where this was written).
Cost: not measured either; WRN-28-10 takes 93,600 steps of about 4 TFLOP, which needs a GPU.
"""

from jaxaug.train.config import default_config

# row: model, its options, epochs, batch size, learning rate, milestones (epochs, from 1; none: cosine), factor, decay
ROWS = {
    "resnet-32": ("resnet", {"depth": 32}, 160, 128, 0.1, (80, 120), 0.1, 1e-4),
    "resnet-110": ("resnet", {"depth": 110}, 160, 128, 0.1, (80, 120), 0.1, 1e-4),
    "se_resnet-110": ("resnet", {"depth": 110, "squeeze_excite": True}, 200, 128, 0.1, (80, 120, 160), 0.1, 1e-4),
    "wide_resnet-16-8": (
        "wide_resnet", {"depth": 16, "widen_factor": 8}, 240, 128, 0.1, (60, 120, 160, 200), 0.2, 5e-4
    ),
    "wide_resnet-28-10": (
        "wide_resnet", {"depth": 28, "widen_factor": 10}, 240, 128, 0.1, (60, 120, 160, 200), 0.2, 5e-4
    ),
    "resnext-29-8x64": ("resnext", {"cardinality": 8, "base_width": 64}, 350, 128, 0.05, (150, 225, 300), 0.1, 5e-4),
    "se_wide_resnet-28-10": (
        "wide_resnet", {"depth": 28, "widen_factor": 10, "squeeze_excite": True},
        240, 128, 0.1, (60, 120, 160, 200), 0.2, 5e-4,
    ),
    "resnext-29-16x64": ("resnext", {"cardinality": 16, "base_width": 64}, 350, 128, 0.05, (150, 225, 300), 0.1, 5e-4),
    "densenet_bc-100-12": (
        "densenet", {"depth": 100, "growth_rate": 12, "stem_width": 24}, 300, 64, 0.1, (150, 200, 250), 0.1, 1e-4
    ),
    "shake_shake-26-2x32": ("shake_shake", {"width": 32}, 1800, 64, 0.1, (), 0.1, 1e-4),
    "shake_shake-26-2x112": ("shake_shake", {"width": 112}, 1800, 64, 0.1, (), 0.1, 1e-4),
    "shake_resnext-29-2x4x64": ("shake_resnext", {"depth": 29, "cardinality": 4}, 1800, 64, 0.1, (), 0.1, 1e-4),
    "shake_pyramidnet-272": ("pyramidnet", {"depth": 272, "alpha": 200}, 1800, 128, 0.1, (), 0.1, 1e-4),
}  # fmt: skip
# The published commands give dropout to the wide network only.
DROPOUT = {"wide_resnet-28-10": 0.3}
# word after the comma: what comes behind crop and mirroring
CUTOUT = {"name": "cutout", "length": 16}
AUGMENTATIONS = {
    "": (),
    "cutout": (CUTOUT,),
    "randaugment": ({"name": "policy", "preset": "randaugment", "num_layers": 2, "magnitude": 14}, CUTOUT),
    "autoaugment": ({"name": "policy", "preset": "autoaugment_cifar10"}, CUTOUT),
}


def get_config(words="wide_resnet-28-10"):
    row, _, augmentation = words.partition(",")
    if row not in ROWS:
        raise ValueError(f"unknown row {row!r}: one of {', '.join(ROWS)}")
    if augmentation not in AUGMENTATIONS:
        raise ValueError(
            f"unknown augmentation {augmentation!r}: one of {', '.join(filter(None, AUGMENTATIONS))}, or none"
        )
    name, options, epochs, batch_size, learning_rate, milestones, factor, decay = ROWS[row]
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = epochs, batch_size, 1000
    config.data.name = "cifar10"
    crop = {"name": "pad_and_crop", "padding": 4, "fill": "reflect"}
    config.augment.train = (crop, "flip", *AUGMENTATIONS[augmentation])
    config.model = {"name": name, **options, "dtype": "float32"}
    if name in ("resnet", "wide_resnet", "densenet"):
        config.model.dropout_rate = DROPOUT.get(row, 0.0)
    config.loss = ({"name": "isda", "strength": 0.5, "covariance": "full", "schedule": "epoch"},)
    # An epoch counted from 1 already uses the rate of its milestone.
    steps = {"name": "steps", "per": "epoch", "first": 1, "milestones": milestones, "factor": factor}
    cosine = {"name": "cosine", "per": "epoch", "first": 1}
    config.optim.learning_rate, config.optim.weight_decay = learning_rate, decay
    config.optim.schedule = steps if milestones else cosine
    return config
