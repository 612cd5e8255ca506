"""DeepAA's policies evaluated on ImageNet: ResNet-50, the released configurations.

    python main.py --config=configs/deepaa_eval_imagenet.py:imagenet_1 --config.data.path=/data/imagenet
    python main.py --config=configs/deepaa_eval_imagenet.py:imagenet_2 --config.data.path=/data/imagenet
    python main.py --config=configs/deepaa_eval_imagenet.py --config.model.depth=200 ...           # ResNet-200
    python main.py --config=configs/deepaa_eval_imagenet.py --config.augment.train.policy.file=policy.json ...   # yours

The path holds train/<class>/*.JPEG and val/<class>/*.JPEG, as folders or tar files (docs/data.md). Photographs are
resized to 256 on the shorter side and cut to the middle 256 as they are read, augmented on the device, and cut to the
middle 224, test images likewise. The released code augments them in their own size, and its random resized crop gives
224 pixels of which nothing is cut (docs/deviations.md).
The rate starts at 0.1 and rises to 0.8 in five epochs; it falls at epochs 95, 185 and 245.
Paper, accuracy %: ResNet-50 78.30 ± 0.14, ResNet-200 81.32 ± 0.17 (from memory of the paper).
Ours: not measured (no ImageNet where this was written). Cost: 270 epochs of ImageNet, for eight GPUs.
"""

from jaxaug.train.config import default_config


def get_config(policy="imagenet_1"):
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = 270, 2048, 1024
    config.eval_every = 20
    config.data.update(name="imagenet", size=256, resize=256, crop="center", interpolation="bicubic")
    config.augment.train, config.augment.size = ({"name": "policy", "preset": f"deepaa_{policy}"},), 224
    config.model = {"name": "resnet", "depth": 50, "stem": "imagenet", "dtype": "bfloat16"}
    config.optim.update(learning_rate=0.8, momentum=0.9, nesterov=True, weight_decay=1e-4, clip=0.0)
    config.optim.decay = "kernels"
    milestones = (90, 180, 240)
    config.optim.schedule = {"name": "steps", "per": "epoch", "milestones": milestones, "warmup": 5.0, "start": 0.1}
    return config
