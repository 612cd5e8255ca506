"""A run in a bucket, such as gs://...: checkpoints are written there by all processes, small files by way of a folder.

What appends, locks and renames needs a real file system. So each machine keeps a folder for the address, in which the
main process works; after each record what changed is copied to the bucket, and at first what lies there is fetched.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

from etils import epath

from jaxaug.core.atomic_io import write_bytes, write_text
from jaxaug.core.errors import UsageError
from jaxaug.runs.sinks.base import first_line

MARKER = ".mirror"  # in the folder: the address that it is for, and what was copied there
_STAYS = (".lock", MARKER)
REPLACED = "replaced"  # beside a run: what was moved aside for a new start
_LOCAL = "file://"


def is_address(workdir: str) -> bool:
    """Whether it is the address of a bucket rather than a folder: "gs://bucket/run", "s3://bucket/run"."""
    return "://" in str(workdir)


def open_mirror(address: str, fetch: bool, root: pathlib.Path | None = None) -> pathlib.Path:
    """The folder of this machine for an address.

    Args:
      address: of the bucket and a name in it; "file:///..." is a folder that stands for one.
      fetch: whether to copy what lies there, except checkpoints.
      root: where such folders are kept (None: ~/.cache/jaxaug/mirrors).

    Raises:
      UsageError: it cannot be reached.
    """
    address = address.rstrip("/")
    root = root or pathlib.Path("~/.cache/jaxaug/mirrors").expanduser()
    folder = root / f"{address.rpartition('/')[2]}-{hashlib.sha256(address.encode()).hexdigest()[:10]}"
    folder.mkdir(parents=True, exist_ok=True)
    copied = {}
    if fetch:
        try:
            copied = {name: _fetch(file, folder / name) for name, file in _files(_path(address), "")}
        except Exception as error:  # what reaches buckets raises many kinds
            raise UsageError(
                f"{address} cannot be read: {first_line(error)[:200]}. Check the address and the "
                "credentials; gs:// needs gcsfs, s3:// needs s3fs"
            ) from None
    write_text(folder / MARKER, json.dumps({"address": address, "copied": copied}))
    return folder


def checkpoints_of(folder: pathlib.Path, name: str) -> Any:
    """Where checkpoints of the run in a folder lie: in it, or, if it is a mirror, in the bucket.

    Args:
      folder: of the run, which may be one of several in a mirror.
      name: of the part that has them.

    Returns:
      A path of pathlib or etils.
    """
    mirror = _mirror_of(folder)
    if mirror is None:
        return folder / name
    address = json.loads((mirror / MARKER).read_text())["address"]
    return _path(address) / folder.relative_to(mirror).as_posix() / name


def push(folder: pathlib.Path) -> None:
    """Copy the files of a mirror, or of a run in it, that changed; nothing where it is no mirror.

    Raises:
      UsageError: the bucket cannot be written; the next call sends what is missing.
    """
    mirror = _mirror_of(folder)
    if mirror is None:
        return
    known = json.loads((mirror / MARKER).read_text())
    there = _path(known["address"])
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(mirror).as_posix()
        if not file.is_file() or file.name in _STAYS or known["copied"].get(name) == (state := _state(file)):
            continue
        try:
            target = there / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())  # an object is there whole or not at all
        except Exception as error:  # what reaches buckets raises many kinds
            raise UsageError(
                f"{known['address']} cannot be written: {first_line(error)[:200]}. {mirror} has everything, and what "
                "is missing is sent the next time"
            ) from error
        known["copied"][name] = state
    write_text(mirror / MARKER, json.dumps(known))


def set_aside_there(folder: pathlib.Path, name: str) -> None:
    """Move what the bucket has of a mirror, or of a run in it, to `replaced/<name>` beside it; checkpoints, too.

    To be called before the folder itself is moved; nothing where it is no mirror.
    """
    mirror = _mirror_of(folder)
    if mirror is None:
        return
    known = json.loads((mirror / MARKER).read_text())
    below = folder.relative_to(mirror).as_posix()
    there = _path(known["address"]) / below
    if there.exists():
        _copy(there, there.parent / REPLACED / name)
        epath.Path(there).rmtree()
    prefix = "" if folder == mirror else f"{below}/"
    known["copied"] = {file: state for file, state in known["copied"].items() if not file.startswith(prefix)}
    write_text(mirror / MARKER, json.dumps(known))


def keep_mirror(moved: pathlib.Path, folder: pathlib.Path) -> None:
    """Let a folder that was moved away whole be a mirror again, an empty one; nothing where it was none."""
    if (moved / MARKER).is_file():
        folder.mkdir()
        (moved / MARKER).rename(folder / MARKER)


def _copy(there: Any, target: Any) -> None:
    for path in there.iterdir():
        if path.is_dir():
            _copy(path, target / path.name)
        else:
            target.mkdir(parents=True, exist_ok=True)
            (target / path.name).write_bytes(path.read_bytes())


def _path(address: str) -> Any:
    return pathlib.Path(address[len(_LOCAL) :]) if address.startswith(_LOCAL) else epath.Path(address)


def _mirror_of(folder: pathlib.Path) -> pathlib.Path | None:
    return next((one for one in (folder, *folder.parents) if (one / MARKER).is_file()), None)


def _state(file: pathlib.Path) -> list[int]:
    told = file.stat()
    return [told.st_mtime_ns, told.st_size]


def _files(there: Any, prefix: str) -> Any:
    """(name, path) of every file in the bucket but those of checkpoints."""
    for path in there.iterdir() if there.exists() else ():
        if path.name == "checkpoints":
            continue
        if path.is_dir():
            yield from _files(path, f"{prefix}{path.name}/")
        else:
            yield f"{prefix}{path.name}", path


def _fetch(there: Any, file: pathlib.Path) -> list[int]:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, there.read_bytes())
    return _state(file)
