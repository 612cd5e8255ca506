"""ISDA on ImageNet: the seven networks of the paper's Table 1 (T-PAMI 2021), by the recipe of its code.

    python main.py --config=configs/isda_imagenet.py --config.data.path=/data/imagenet                # ResNet-50
    python main.py --config=configs/isda_imagenet.py:resnext101_32x8d --config.data.path=/data/imagenet
    ... --config.loss='()'                                                                     # plain cross-entropy

The path holds train/<class>/*.JPEG and val/<class>/*.JPEG, as folders or tar files (docs/data.md). The word after
the colon names the network. Error % in the paper, top-1 / top-5, plain and ISDA, and lambda:
    resnet50            23.0 / 6.8    21.9 / 6.3    7.5
    resnet101           21.7 / 6.1    20.8 / 5.7    5
    resnet152           21.3 / 5.8    20.3 / 5.5    7.5
    densenet121         23.7 / 6.8    23.2 / 6.6    1
    densenet265         21.9 / 6.1    21.2 / 6.0    1
    resnext50_32x4d     22.5 / 6.4    21.3 / 5.9    7.5
    resnext101_32x8d    21.1 / 5.9    20.1 / 5.4    7.5
Its code also trains resnet18, resnet34 (7.5), densenet169 and densenet201 (1), without figures: --config.model.name=...
The covariances are diagonal, photographs are cut out at random and mirrored, and nothing is decayed less than another.
Ours: not measured (no ImageNet where this was written). Cost: 300 epochs of ImageNet, for eight GPUs.
"""

from jaxaug.train.config import default_config

# network: lambda
ROWS = {
    **{"resnet50": 7.5, "resnet101": 5.0, "resnet152": 7.5, "densenet121": 1.0, "densenet265": 1.0},
    **{"resnext50_32x4d": 7.5, "resnext101_32x8d": 7.5},
}


def get_config(row="resnet50"):
    if row not in ROWS:
        raise ValueError(f"unknown row {row!r}: one of {', '.join(ROWS)}")
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = 300, 512, 512
    config.data.update(name="imagenet", size=224, crop="random_resized", interpolation="bilinear")
    config.augment.train = ("flip",)
    config.model = {"name": row}
    config.loss = ({"name": "isda", "strength": ROWS[row], "covariance": "diagonal", "schedule": "epoch"},)
    config.optim.update(learning_rate=0.2, momentum=0.9, nesterov=False, weight_decay=1e-4, decay="all")
    config.optim.schedule = {"name": "cosine", "per": "epoch"}
    return config
