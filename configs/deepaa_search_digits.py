"""DeepAA on digits: a policy searched by gradient matching, on two CPU cores.

    python main.py --config=configs/deepaa_search_digits.py                          # leaves policy.json
    python main.py --config=configs/isda_digits.py --config.augment.train=policy \\
        --config.augment.train.policy.file=runs/deepaa_search_digits-.../convnet/seed_0/policy.json

A convnet is trained on 400 digits first; the search then takes its images from the others, which it has not seen.
Paper: Zheng et al., ICLR 2022 (no results on digits). Ours: docs/results.md, on a planted
distortion. Cost: about 4 minutes on two CPU cores.
"""

from jaxaug.train.config import default_config


def get_config():
    config = default_config()
    config.epochs, config.batch_size = 40, 32
    config.eval_every, config.save_every = 10, 20
    config.data.update(name="digits", validation_size=0.3)
    config.model = {"name": "convnet", "widths": (16, 32), "dropout_rate": 0.0}
    config.optim.update(learning_rate=0.05, weight_decay=5e-4)
    config.search = {"name": "deepaa", "pool": 0.55, "num_layers": 3, "updates": 128}
    config.search.update(images=8, copies=2, factor=1, chunk=2, learning_rate=0.1)
    return config
