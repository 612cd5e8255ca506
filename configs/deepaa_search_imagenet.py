"""DeepAA's search on ImageNet: ResNet-50, six layers of 1,024 updates, as in the released README.

    python main.py --config=configs/deepaa_search_imagenet.py --config.data.path=/data/imagenet
    ... --config.search.network=RUN                             # search with the trained network of that run
    python main.py --config=configs/deepaa_eval_imagenet.py --config.augment.train.policy.file=RUN/policy.json ...

The path holds train/<class>/*.JPEG and val/<class>/*.JPEG, as folders or tar files (docs/data.md). 400,000 training
rows are kept for validation and 100,000 to search with, as there; the network is trained on the other 781,167 with a
random resized crop and mirroring. The released code loads that network; its recipe is not released, and this one is
torchvision's first. The search sees photographs resized and cut to the middle 224 before the policy; there the policy
acts on their own size, and the cut comes after it (docs/deviations.md).
Paper: 96 GPU hours (from memory); its policies, of five layers, are presets: deepaa_imagenet_1, deepaa_imagenet_2.
Ours: not measured (no ImageNet where this was written). Cost: 54 million gradients and 185 million forward-mode passes
of an image through a ResNet-50, for several GPUs.
"""

from jaxaug.train.config import default_config


def get_config():
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = 90, 256, 512
    config.eval_every, config.save_every = 5, 5
    config.data.update(name="imagenet", size=224, interpolation="bicubic", validation_size=400_000)
    config.augment.train = ("flip",)
    config.model = {"name": "resnet50"}
    config.optim.update(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4, decay="kernels")
    config.optim.schedule = {"name": "cosine", "per": "step"}
    config.search = {"name": "deepaa", "pool": 100_000, "num_layers": 6, "updates": 1024, "chunk": 1}
    return config
