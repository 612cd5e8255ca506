"""Plain cross-entropy against ISDA on Fashion-MNIST: 60,000 real images of 28 x 28.

    python main.py --config=configs/isda_fashion_mnist.py               # a convnet, for two CPU cores
    python main.py --config=configs/isda_fashion_mnist.py:wide_resnet   # WRN-16-4, for a GPU

Paper: none (ISDA has no results on Fashion-MNIST). Ours: docs/results.md (the convnet).
Cost: 2 variants x 3 seeds; the convnet takes about 5 minutes a run on two CPU cores.
"""

from jaxaug.train.config import default_config

MODELS = {
    # word after the colon: (model, its options, epochs)
    "convnet": ("convnet", {"widths": (24, 48, 96), "dropout_rate": 0.0}, 6),
    "wide_resnet": ("wide_resnet", {"depth": 16, "widen_factor": 4, "dropout_rate": 0.0, "dtype": "bfloat16"}, 60),
}


def get_config(model="convnet"):
    if model not in MODELS:
        raise ValueError(f"unknown model {model!r}: one of {', '.join(MODELS)}")
    name, options, epochs = MODELS[model]
    config = default_config()
    config.seeds, config.epochs = 3, epochs
    config.batch_size, config.eval_batch_size = 128, 1000
    config.save_every = 1
    config.data.name = "fashion_mnist"
    config.augment.train = ("flip",)
    config.model = {"name": name, **options}
    config.loss = ({"name": "isda", "strength": 0.5, "covariance": "full", "schedule": "epoch"},)
    config.optim.weight_decay = 5e-4
    config.variants = {"cross_entropy": {"loss": ()}, "isda": {}}
    return config
