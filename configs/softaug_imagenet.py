"""Soft Augmentation on ImageNet: the method of its CIFAR code on photographs, with settings of our own.

    python main.py --config=configs/softaug_imagenet.py --config.data.path=/data/imagenet    # sa: flip, soft crop
    python main.py --config=configs/softaug_imagenet.py:ra_sa ...      # flip, RandAugment, soft crop
    python main.py --config=configs/softaug_imagenet.py:baseline ...   # random resized crop and flip, cross-entropy
    python main.py --config=configs/softaug_imagenet.py:ra ...         # these two, then RandAugment
    ... --config.model.name=resnet101

The path holds train/<class>/*.JPEG and val/<class>/*.JPEG, as folders or tar files (docs/data.md).
The paper has ImageNet and ImageNet-V2 with ResNets, but neither code nor settings of them have been released. Here
photographs are resized and cut to the middle, as for evaluation, and then moved by the paper's offsets, 0.3 sides
(sigma); the power 2, the fill and the closing epochs are those of its CIFAR code; network, rate, decay and 90 epochs
are torchvision's first recipe for ResNet-50.
Paper: gains over the same augmentation without softening; its figures are not repeated here, since the settings could
not be had. Ours: not measured (no ImageNet where this was written).
Cost: 90 epochs of ImageNet, for eight GPUs.
"""

from jaxaug.train.config import default_config

# row: does it use RandAugment, does it use the soft crop
ROWS = {"baseline": (False, False), "ra": (True, False), "sa": (False, True), "ra_sa": (True, True)}


def get_config(row="sa"):
    if row not in ROWS:
        raise ValueError(f"unknown row {row!r}: one of {', '.join(ROWS)}")
    with_policy, soft = ROWS[row]
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = 90, 256, 512
    config.data.update(name="imagenet", size=224, crop="center" if soft else "random_resized")
    config.augment.train = ("flip",)
    if with_policy:
        config.augment.train += ({"name": "policy", "preset": "randaugment", "num_layers": 2, "magnitude": 9},)
    config.model = {"name": "resnet50"}
    if soft:
        crop = {"name": "soft_crop", "sigma": 0.3, "relative": True, "fill": "constant", "fill_std": 0.01}
        config.augment.after = ({**crop, "closing": 0.04},)
        config.loss = ({"name": "soft_targets", "power": 2.0, "weight": "batch"}, "kl_divergence")
    config.optim.update(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=1e-4, decay="all")
    config.optim.schedule = {"name": "cosine", "per": "epoch"}
    return config
