"""DeepAA's policies evaluated on CIFAR-10, CIFAR-100 and SVHN: the released configurations, and the other networks.

    python main.py --config=configs/deepaa_eval_cifar.py:cifar_2                                      # CIFAR-10
    python main.py --config=configs/deepaa_eval_cifar.py:cifar_2 --config.data.name=cifar100
    python main.py --config=configs/deepaa_eval_cifar.py:cifar_1 --config.optim.weight_decay=1e-3     # "wd1e-3" files
    python main.py --config=configs/deepaa_eval_cifar.py:cifar_2,batch8                               # 8 views
    python main.py --config=configs/deepaa_eval_cifar.py:cifar_2,batch8_100 --config.data.name=cifar100
    python main.py --config=configs/deepaa_eval_cifar.py --config.augment.train.policy.file=policy.json  # your own

    python main.py --config=configs/deepaa_eval_cifar.py:cifar_1,wrn_40_2                             # or shake_shake
    python main.py --config=configs/deepaa_eval_cifar.py:cifar_1,svhn

The policy is all the augmentation there is: no crop, flip or cutout beside it. The networks are those of the released
code; there is none for the last three words, whose rates are those of TrivialAugment's code, from which it comes, and
of AutoAugment's appendix for SVHN (from memory). BatchNorm sees each of the 8 views alone, as there a GPU has one.
Paper, accuracy % with 95 % intervals: CIFAR-10 97.56 ± 0.14, CIFAR-100 84.02 ± 0.18; 8 views 98.21 ± 0.14 and
85.61 ± 0.17 (from memory of the paper). An independent reproduction with cifar_1: 97.44 and 83.64.
Ours: not measured yet (no CIFAR images where this was written). Cost: 78,000 steps of WRN-28-10, for a GPU.
"""

from jaxaug.train.config import default_config

TRAININGS = {
    # word after the comma: (epochs, learning rate, views)
    "": (200, 0.1, 1),
    "batch8": (100, 0.2, 8),
    "batch8_100": (35, 0.4, 8),  # as released for CIFAR-100
    "wrn_40_2": (200, 0.1, 1),
    "shake_shake": (1800, 0.01, 1),
    "svhn": (200, 0.005, 1),
}
DECAY = {"shake_shake": 1e-3, "svhn": 1e-3}
# As the released code builds it; its convolutions start uniformly.
NETWORK = {
    **{"name": "wide_resnet", "depth": 28, "widen_factor": 10, "dropout_rate": 0.0},
    **{"initialiser": "pytorch", "stride_on": 2, "raw_shortcut": True, "conv_bias": True},
}
NETWORKS = {
    "wrn_40_2": {**NETWORK, "depth": 40, "widen_factor": 2},
    "shake_shake": {"name": "shake_shake", "width": 96},
}


def get_config(words="cifar_2"):
    policy, _, training = words.partition(",")
    if training not in TRAININGS:
        raise ValueError(f"unknown training {training!r}: one of {', '.join(filter(None, TRAININGS))}, or none")
    epochs, rate, views = TRAININGS[training]
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = epochs, 128, 1000
    config.eval_every = 20
    config.data.name = "svhn" if training == "svhn" else "cifar10"
    if config.data.name == "cifar10":
        config.data.statistics = "deepaa"
    config.augment.train, config.augment.views = ({"name": "policy", "preset": f"deepaa_{policy}"},), views
    config.augment.views_apart = views > 1
    config.model = NETWORKS.get(training, NETWORK)
    decay = DECAY.get(training, 5e-4)
    config.optim.update(learning_rate=rate, momentum=0.9, nesterov=True, weight_decay=decay, clip=5.0)
    config.optim.decay = "kernels"
    warmup = 0.0 if training in NETWORKS else 5.0
    config.optim.schedule = {"name": "cosine", "per": "step", "warmup": warmup}
    return config
