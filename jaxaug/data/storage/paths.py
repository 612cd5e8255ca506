"""Where data is looked for on this machine."""

import dataclasses
import os
import pathlib


@dataclasses.dataclass(frozen=True)
class Places:
    """Two folders, each with one folder per data set inside.

    Attributes:
      archives: holds <name>/<archive as published> and <name>/decoded-<checksum>/ (the cache).
      prepared: holds <tfds name>/<version>/, as tensorflow-datasets lays it out.
    """

    archives: pathlib.Path
    prepared: pathlib.Path


def find_places(directory: str = "") -> Places:
    """The folders to look in.

    Args:
      directory: both of them; "" for the environment's JAXAUG_DATA_DIR where that is set. Otherwise archives and cache
        live in ~/.cache/jaxaug/data, and prepared sets in TFDS_DATA_DIR or ~/tensorflow_datasets, as
        tensorflow-datasets itself has it.
    """
    chosen = directory or os.environ.get("JAXAUG_DATA_DIR", "")
    if chosen:
        folder = pathlib.Path(chosen).expanduser().absolute()
        return Places(archives=folder, prepared=folder)
    prepared = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Places(
        archives=pathlib.Path("~/.cache/jaxaug/data").expanduser(),
        prepared=pathlib.Path(prepared).expanduser().absolute(),
    )
