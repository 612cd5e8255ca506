"""Every field that a config may set, with its meaning; files in configs/ start from it and change what differs."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from jaxaug.augment.policies import RGB_MEAN
from jaxaug.find import defaults_of, find, names, options
from jaxaug.optim import make_schedule
from jaxaug.search import deepaa


def config() -> ConfigDict:
    """The defaults: plain training of a small convnet on scikit-learn's digits."""
    return ConfigDict(
        {
            "seed": 0,  # of everything random: initial parameters, order of rows, augmentation, dropout
            "seeds": 1,  # run seed, seed + 1, ...: the table then gives mean +- standard deviation
            "variants": {},  # name -> changes of this config; each is run with every seed and compared
            "epochs": 30,
            "batch_size": 64,  # of all devices and processes together
            "eval_batch_size": 512,
            "steps_per_dispatch": 1,  # training steps per call of the device; more helps small models on a GPU
            "log_every": 50,  # steps between updates of the progress bar and checks for a non-finite loss
            "eval_every": 1,  # epochs between evaluations; the last epoch is always evaluated
            "save_every": 10,  # epochs between checkpoints; the last epoch is always saved
            "data": data(),
            "robustness": (),  # files of jaxaug/robustness: what the final state is put to on the test split
            "protocol": protocols(),  # their options, each under the last word of its address
            # addresses in jaxaug/augment and jaxaug/losses, in order; options stand under the last word of each
            "augment": {
                "train": (),  # on the 0..255 scale
                "after": (),  # after normalisation
                "size": 0,  # side of the square cut from the middle, after `train` and in evaluations; 0: all
                "views": 1,  # independently augmented copies of each batch that a step sees together
                **options("augment"),
            },
            "model": {"name": "convnet", "kw": {}},  # a file of jaxaug/models and the fields of its Model
            "loss": {"chain": (), **options("losses")},
            "search": search(),
            "suspects": 0,  # after a search: list the rows it distrusts, and draw so many of the worst
            "optim": {
                "name": "sgd",
                "learning_rate": 0.1,
                "momentum": 0.9,
                "nesterov": True,
                "weight_decay": 1e-4,
                "decay": "all",
                "clip": 0.0,
                "schedule": defaults_of(make_schedule),
            },
        }
    )


def search() -> dict[str, Any]:
    """How what transforms and parts declare as learned is learned, from rows of the validation split."""
    return {
        "name": "",  # "autodo" or "dada", during the training; "deepaa", a policy after it; "" for no search
        "start": 5,  # epochs of training before it begins
        "every": 0,  # 0: a pass over the training rows before each epoch; n: one step before every n-th training step
        "batch_size": 256,
        "validation_batch_size": 256,
        "part": ("head",),  # path of the parameters the derivative goes through; () for all of them
        "direction": "directions.conjugate_gradient",  # of jaxaug/search; options under its last word
        "curvature": "fisher",  # or "hessian"
        **options("search"),
        "deepaa": defaults_of(deepaa.Options),
        "space": {  # what a policy may be made of
            "ops": (),  # names; () for DeepAA's
            "levels": 13,  # of each op; 0: learned by gradient, with exact=False
            "cover": RGB_MEAN,  # colour of cutouts and of what crops uncover, one number per channel or one for all
            "softens": (),  # names of ops that hide what targets.soften counts, ("all",)
            "exact": True,  # PIL's numbers
        },
        "pool": 0.0,  # rows, or a share below 1, kept from the training to search a policy with; 0: the training rows
        "checkpoint": "",  # folder of a finished run whose network searches; "": this run trains one
        "optim": {
            "name": "rmsprop",  # or "adam"
            "learning_rate": 0.05,
            "decay": 0.99,  # of rmsprop's squares
            "b1": 0.9,  # of adam
            "b2": 0.999,
            "eps": 1e-8,
            "schedule": defaults_of(make_schedule),  # an epoch of it is a pass over the training rows
        },
    }


def data() -> dict[str, Any]:
    """The options of all data sets; each reads those that concern it."""
    return {
        "name": "digits",  # a file of jaxaug/data
        "place": "device",  # where images are kept; "host" sends each batch: for sets larger than a device's memory
        "dir": "",  # the folder of data sets; "": the usual ones, see jaxaug/data/__init__.py
        "download": True,  # fetch the official archive where no copy is found
        "validation_size": 0.0,  # below 1 a share of train, else a number of rows; cut off class by class
        "train_size": 0,  # keep so many training rows, each class by its share; 0: all
        "seed": 0,  # of these cuts and of what follows; -1: that of the run
        "subsample": 1.0,  # keep this share of the training rows, whatever their class
        "imbalance": 1.0,  # rows of the lower half of the classes to one of the upper, of which rows are dropped
        "noise": 0.0,  # share of the training rows whose label is drawn anew, uniformly over all classes
        "rows": "train",  # what to train on: "train", "validation" (clean rows alone) or "both"
        "ablation": "",  # "overfit": search on the test rows; "oversplit": train and search on all training rows
        "extra": False,  # svhn: train on its 531,131 extra images too
        "statistics": "isda",  # cifar: mean and std as in ISDA's code, or "computed"; folder: "imagenet" or computed
        "path": "",  # npz: the file; folder: the folder of train/<class>/<image>
        "num_classes": 0,  # npz: 0 for what its labels say
        "size": 0,  # folder: side of the images, cut square and resized; 0 where all have one size
        "cache": False,  # folder: keep the decoded images in `dir`, mapped into memory
        "channels": 0,  # folder: 1 grey, 3 colour; 0 for what the first image has
    }


def protocols() -> dict[str, dict[str, Any]]:
    """name -> the options of every robustness protocol that ships with jaxaug, with their defaults."""
    return {name: defaults_of(find("robustness", name).protocol) for name in names("robustness")}
