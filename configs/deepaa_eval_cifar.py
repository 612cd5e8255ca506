"""DeepAA's policies evaluated on CIFAR-10 and CIFAR-100: WRN-28-10, the released configurations.

    python main.py --config=configs/deepaa_eval_cifar.py:cifar_2                                      # CIFAR-10
    python main.py --config=configs/deepaa_eval_cifar.py:cifar_2 --config.data.name=cifar100
    python main.py --config=configs/deepaa_eval_cifar.py:cifar_1 --config.optim.weight_decay=1e-3     # "wd1e-3" files
    python main.py --config=configs/deepaa_eval_cifar.py:cifar_2,batch8                               # 8 views
    python main.py --config=configs/deepaa_eval_cifar.py:cifar_2,batch8_100 --config.data.name=cifar100
    python main.py --config=configs/deepaa_eval_cifar.py --config.augment.train.policy.file=policy.json  # your own

The policy is all the augmentation there is: no crop, flip or cutout beside it. BatchNorm sees all views of a batch
together, the released code those of each GPU alone.
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
}


def get_config(words="cifar_2"):
    policy, _, training = words.partition(",")
    if training not in TRAININGS:
        raise ValueError(f"unknown training {training!r}: one of {', '.join(filter(None, TRAININGS))}, or none")
    epochs, rate, views = TRAININGS[training]
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = epochs, 128, 1000
    config.eval_every = 20
    config.data.update(name="cifar10")
    config.augment.train, config.augment.views = ({"name": "policy", "preset": f"deepaa_{policy}"},), views
    config.model = {"name": "wide_resnet", "depth": 28, "widen_factor": 10, "dropout_rate": 0.0}
    config.optim.update(learning_rate=rate, momentum=0.9, nesterov=True, weight_decay=5e-4, clip=5.0)
    config.optim.decay = "kernels"
    config.optim.schedule = {"name": "cosine", "per": "step", "warmup": 5.0}
    return config
