"""ISDA on Cityscapes: PSPNet and DeepLab v3 on a dilated ResNet-101, as its segmentation code trains them.

    python main.py --config=configs/isda_cityscapes.py --config.data.path=DIR              # PSPNet
    python main.py --config=configs/isda_cityscapes.py:deeplab_v3 --config.data.path=DIR
    python main.py --config=configs/isda_cityscapes.py:pspnet,multi_scale ...              # evaluated at three scales
    python main.py --config=configs/isda_cityscapes.py:pspnet,torchvision --config.init_from=resnet101.npz ...

DIR holds leftImg8bit and gtFine. Each row is run with cross-entropy alone and with ISDA on both heads, lambda up to
7.5. The networks of the released code begin with weights of ImageNet whose stem has three convolutions, and see what
Caffe saw, here in the order red green blue. "torchvision" is the network that torchvision's weights fit, converted with
`jaxaug convert`, and its statistics. Batch 8 of 769 x 769 takes several accelerators, or --config.accumulate=4.
Paper: mIoU 77.46 and 78.72 with ISDA (PSPNet), 78.38 and 79.41 (DeepLab v3) at one scale, Wang et al., T-PAMI 2021,
table 7; 40,000 steps, of which 108 epochs have 40,068. Ours: not trained yet.
Cost: not measured; ResNet-101 at an eighth of 769 x 769 needs accelerators.
"""

from jaxaug.train.config import default_config

ISDA_CODE = {
    "depth": 101, "deep_stem": True, "dilate_first": True, "features": 512, "auxiliary_features": 512,
    "activation": "leaky_relu",
}  # fmt: skip
ROWS = {
    "pspnet": {"name": "pspnet", **ISDA_CODE},
    "deeplab_v3": {"name": "deeplab_v3", "refine": False, **ISDA_CODE},
}
WORDS = ("multi_scale", "torchvision")


def get_config(words="pspnet"):
    row, *others = words.split(",")
    if row not in ROWS:
        raise ValueError(f"unknown row {row!r}: one of {', '.join(ROWS)}")
    for word in others:
        if word not in WORDS:
            raise ValueError(f"unknown word {word!r}: one of {', '.join(WORDS)}")
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = 108, 8, 4
    config.eval_every, config.save_every = 27, 27
    config.task = {"name": "segmentation", "window": (769, 769), "overlap": 1 / 3}
    config.data = {"name": "cityscapes", "path": "", "statistics": "isda"}
    crop = {"name": "random_scale_and_crop", "size": (769, 769), "scale": (0.7, 2.1), "step": 0.1}
    config.augment.train = (crop, "flip")
    config.model = dict(ROWS[row])
    config.optim.update(learning_rate=0.01, momentum=0.9, nesterov=False, weight_decay=5e-4)
    config.optim.schedule = {"name": "polynomial", "power": 0.9}
    if "multi_scale" in others:
        config.task.update(scales=(0.75, 1.0, 1.25), flip=True)
    if "torchvision" in others:
        config.model.update(deep_stem=False, dilate_first=False)
        config.data.statistics = "imagenet"
    isda = {"name": "pixel_isda", "strength": 7.5}
    config.variants = {
        "cross_entropy": {"loss": ({"name": "auxiliary", "weight": 0.4},)},
        "isda": {"loss": (isda, {"name": "auxiliary", "weight": 0.4, "loss": (isda,)})},
    }
    return config
