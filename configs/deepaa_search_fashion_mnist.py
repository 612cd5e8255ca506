"""DeepAA on Fashion-MNIST: a policy searched by gradient matching.

    python main.py --config=configs/deepaa_search_fashion_mnist.py               # a convnet: two CPU cores
    python main.py --config=configs/deepaa_search_fashion_mnist.py:wide_resnet   # WRN-40-2, DeepAA's sizes: a GPU
    python main.py --config=configs/isda_fashion_mnist.py --config.augment.train=policy \\
        --config.augment.train.policy.file=runs/deepaa_search_fashion_mnist-.../convnet/seed_0/policy.json

The network is trained on 5,000 images; the search takes its images from the others, which it has not seen.
Paper: Zheng et al., ICLR 2022 (no results on Fashion-MNIST). Ours, on 1,000 images: benchmarks/deepaa_few_labels.py.
Cost: about 15 minutes on two CPU cores for the convnet; not measured for the WideResNet.
"""

from jaxaug.train.config import default_config

ROWS = {
    # word after the colon: (model, options, epochs, what differs from the released search)
    "convnet": (
        "convnet", {"widths": (16, 32, 64), "dropout_rate": 0.0}, 8,
        {"num_layers": 3, "updates": 128, "images": 4, "copies": 2, "factor": 1, "chunk": 2, "learning_rate": 0.1},
    ),
    "wide_resnet": (
        "wide_resnet", {"depth": 40, "widen_factor": 2, "dropout_rate": 0.0}, 45,
        {"num_layers": 6, "updates": 1024, "chunk": 8},
    ),
}  # fmt: skip


def get_config(network="convnet"):
    if network not in ROWS:
        raise ValueError(f"unknown network {network!r}: one of {', '.join(ROWS)}")
    name, options, epochs, search = ROWS[network]
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = epochs, 64, 1000
    config.data.update(name="fashion_mnist", validation_size=10_000)
    config.augment.train = ("flip",)
    config.model = {"name": name, **options}
    config.optim.update(learning_rate=0.05, weight_decay=5e-4)
    config.search = {"name": "deepaa", "pool": 45_000, **search}
    return config
