"""Archives as their authors publish them: found, downloaded and checked against a recorded sha256."""

import dataclasses
import gzip
import hashlib
import pathlib
import shlex
import zlib

from jaxaug.core.errors import UsageError

# (connect, read) seconds: a machine with no network must say so within seconds, a slow mirror may pause.
_TIMEOUT = (5, 30)


@dataclasses.dataclass(frozen=True)
class Archive:
    """One published file.

    Attributes:
      file: its name.
      url: where it is published.
      sha256: of the file as published; a download must have it.
      content_sha256: of what a .gz holds. Where given, a found file is checked by this alone and may lie
        there unpacked or packed anew.
      loose: a found file may differ from `sha256` (it is then not cached). Never for pickles.
    """

    file: str
    url: str
    sha256: str
    content_sha256: str = ""
    loose: bool = False

    @property
    def checksum(self) -> str:
        """The sha256 that says what the archive holds."""
        return self.content_sha256 or self.sha256


def find_archive(archive: Archive, folders: tuple[pathlib.Path, ...]) -> pathlib.Path | None:
    """The first of `folders` that has the file, or what it holds unpacked (x for x.gz); None if none has."""
    names = [archive.file]
    if archive.content_sha256 or archive.loose:
        names.append(archive.file.removesuffix(".gz"))
    return next((folder / name for folder in folders for name in names if (folder / name).is_file()), None)


def read(path: pathlib.Path) -> bytes:
    """The bytes of a file, unpacked if its name ends with .gz.

    Raises:
      UsageError: a damaged .gz.
    """
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read: {error}; delete it and get it again") from error


def verify(archive: Archive, path: pathlib.Path) -> bool:
    """Whether a found file is proven to be the published one.

    Returns:
      True, or False for a `loose` archive with another checksum.

    Raises:
      UsageError: another checksum.
    """
    if archive.content_sha256:
        found = hashlib.sha256(read(path)).hexdigest()
    else:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    if found == archive.checksum or archive.loose:
        return found == archive.checksum
    raise UsageError(
        f"{path} is not the published file, or was cut short: its sha256 is {found} where {archive.checksum} "
        f"is recorded. It was not opened. Delete it and get it again: {download_command(archive, path.parent)}"
    )


def download_command(archive: Archive, folder: pathlib.Path) -> str:
    """The shell command that downloads an archive to where it is looked for."""
    return f"curl --create-dirs -fL -o {shlex.quote(str(folder / archive.file))} {archive.url}"


def download_archive(archive: Archive, folder: pathlib.Path) -> pathlib.Path:
    """Downloads an archive with a progress bar, once and without retrying, and checks its sha256.

    The file has its name only when complete and right, so a broken download leaves nothing behind.

    Raises:
      UsageError: no network, no room, or another checksum, with the reason.
    """
    import pooch
    import requests

    try:
        path = pooch.retrieve(
            archive.url,
            known_hash=f"sha256:{archive.sha256}",
            fname=archive.file,
            path=folder,
            downloader=pooch.HTTPDownloader(progressbar=True, timeout=_TIMEOUT, chunk_size=2**16),
        )
    # pooch reports a wrong checksum as ValueError.
    except (requests.exceptions.RequestException, OSError, ValueError) as error:
        raise UsageError(f"{archive.url} could not be downloaded: {error}") from error
    return pathlib.Path(path)
