"""The augment command broken off: by a kill, a full disk, a broken image; what the same command then leaves."""

import itertools
import json
import os
import resource
import signal

import numpy as np
import pytest
from PIL import Image

from jaxaug.augment import image_folder
from jaxaug.augment.folder_journal import JOURNAL, Finished, Journal
from jaxaug.core.atomic_io import write_bytes
from jaxaug.core.errors import UsageError
from jaxaug.policies.policy import make_policy

POLICY = make_policy([[[("RandCutout", 0.1, 1.0), ("Rotate", 1.0, 1.0), ("Identity", 0.0, 1.0)]]])
COMMAND = {"policy": "1234", "seed": 0}


def draw(path, *shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(len(path.name)).integers(0, 256, shape).astype(np.uint8)).save(path)


@pytest.fixture
def images(tmp_path):
    """60 images of as many sizes, in two folders."""
    for i in range(60):
        draw(tmp_path / "in" / f"{'ab'[i % 2]}/{i:02d}.png", 20 + i, 50 - i // 2, 3)
    return tmp_path / "in"


def content(folder):
    """Every file below the folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-40])


def killed_at(count, images, out):
    """The exit code of a process that runs the command and is killed in the middle of writing its file number count."""
    child = os.fork()
    if not child:
        calls = itertools.count(1)

        def write(path, content):
            if next(calls) == count:
                path.with_name(f".{path.name}.part").write_bytes(content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            write_bytes(path, content)

        try:
            image_folder.write_bytes = write
            image_folder.augment_folder(POLICY, images, out, copies=2)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.fault(
    "`jaxaug augment` is killed (SIGKILL) at random moments", "the same command goes on and leaves the same bytes"
)
def test_killed_at_random_moments(tmp_path, images):
    image_folder.augment_folder(POLICY, images, tmp_path / "whole", copies=2)
    out = tmp_path / "out"
    for moment in np.random.default_rng().integers(1, 29, 4):  # of 120 files, so that some are left
        assert killed_at(moment, images, out) == -signal.SIGKILL
        assert not (out / "visible.csv").exists()
        for path in out.rglob("[!.]*.png"):
            Image.open(path).load()
    done = Journal(out, json.loads((out / JOURNAL).read_text().split("\n")[0])["command"], False).found
    before = {name: (out / f"{entry.target}_0.png").stat().st_mtime_ns for name, entry in done.items()}
    image_folder.augment_folder(POLICY, images, out, copies=2)
    assert content(out) == content(tmp_path / "whole")
    # What was finished was not done again.
    for name, entry in done.items():
        assert (out / f"{entry.target}_0.png").stat().st_mtime_ns == before[name]
    with pytest.raises(UsageError, match="is not empty: choose another folder, or overwrite"):
        image_folder.augment_folder(POLICY, images, out, copies=2)


@pytest.mark.fault(
    "the disk is full while `jaxaug augment` writes", "one message; the same command goes on once there is room"
)
def test_full_disk(tmp_path, images):
    """A limit on the size of files cuts the largest one in the middle, as a full disk does."""
    draw(images / "b/big.png", 700, 700, 3)
    image_folder.augment_folder(POLICY, images, tmp_path / "whole")
    out, (soft, hard) = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with pytest.raises(UsageError, match=rf"cannot write into {out}: .*; mend that, and the same command goes on"):
            image_folder.augment_folder(POLICY, images, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 0 < len(list(out.rglob("*_0.png"))) < 61
    image_folder.augment_folder(POLICY, images, out)
    assert content(out) == content(tmp_path / "whole")


@pytest.mark.fault(
    "an image for `jaxaug augment` is cut short", "told by name before anything is written; or left out, and named"
)
def test_broken_images(tmp_path, images, caplog):
    whole = (images / "b/31.png").read_bytes()
    cut_short(images / "b/31.png")
    (images / "b/33.png").write_text("no image")
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"b/31\.png cannot be read as an image: .*; repair or remove it"):
        image_folder.augment_folder(POLICY, images, out)
    assert not out.exists()
    shares = image_folder.augment_folder(POLICY, images, out, skip_broken=True)
    assert len(shares) == 58
    assert not {"b/31_0.png", "b/33_0.png"} & set(shares)
    assert "skipped 2 of 60 images" in caplog.text
    assert all(f"{name}.png cannot be read as an image" in caplog.text for name in ("b/31", "b/33"))
    (images / "b/31.png").write_bytes(whole)
    (images / "b/33.png").unlink()
    mended = image_folder.augment_folder(POLICY, images, tmp_path / "mended")
    assert {name: share for name, share in mended.items() if name != "b/31_0.png"} == shares
    for path in (images / "a").iterdir():
        path.unlink()
    for path in (images / "b").iterdir():
        cut_short(path)
    with pytest.raises(UsageError, match=r"none of the images can be read: .*b/01\.png cannot be read"):
        image_folder.augment_folder(POLICY, images, tmp_path / "none", skip_broken=True)


def broken_off(images, out, monkeypatch, at="b/01.png", **options):
    """Run the command until an image turns out to have become unreadable after the check."""
    genuine = image_folder.read_image
    seen = set()

    def read(path):
        if path.as_posix().endswith(at) and path in seen:
            raise UsageError("gone in between")
        seen.add(path)
        return genuine(path)

    with monkeypatch.context() as patch:
        patch.setattr(image_folder, "read_image", read)
        with pytest.raises(UsageError, match="gone in between"):
            image_folder.augment_folder(POLICY, images, out, **options)


def test_what_changed_since_is_done_anew(tmp_path, images, monkeypatch):
    """Another image under the same name, copies that were removed, images that came along."""
    out = tmp_path / "out"
    broken_off(images, out, monkeypatch)
    draw(images / "a/00.png", 31, 17, 3)
    (out / "a/02_0.png").unlink()
    draw(images / "c/new.png", 9, 9, 3)
    image_folder.augment_folder(POLICY, images, out)
    image_folder.augment_folder(POLICY, images, tmp_path / "whole")
    assert content(out) == content(tmp_path / "whole")


def test_another_command_is_refused(tmp_path, images, monkeypatch):
    out = tmp_path / "out"
    broken_off(images, out, monkeypatch)
    before = content(out)
    for policy, options, message in (
        (POLICY, {"seed": 1, "copies": 2}, "command with seed 0 instead of 1, copies 1 instead of 2 has written"),
        (make_policy([[[("Rotate", 0.9, 1.0)]]]), {}, "command with another policy has written: repeat that one and"),
    ):
        with pytest.raises(UsageError, match=message):
            image_folder.augment_folder(policy, images, out, **options)
    draw(images / "a/00.bmp", 9, 9, 3)
    with pytest.raises(UsageError, match=r"holds a/00_0\.png, but a/00\.png is gone or shares its name"):
        image_folder.augment_folder(POLICY, images, out)
    assert content(out) == before
    (images / "a/00.bmp").unlink()
    image_folder.augment_folder(POLICY, images, out, seed=1, overwrite=True)
    image_folder.augment_folder(POLICY, images, tmp_path / "whole", seed=1)
    assert content(out) == content(tmp_path / "whole")


@pytest.mark.fault(
    "the journal of `jaxaug augment` is damaged", "what it no longer tells is done anew, with the same bytes"
)
def test_damaged_journal(tmp_path):
    """A last line left half written, a line of noise, one of another program."""
    entries = [Finished(name, name, "facts", [0.5]) for name in "abc"]
    journal = Journal(tmp_path, COMMAND, False)
    journal.begin({"a": entries[0]})
    journal.add(entries[1])
    journal.add(entries[2])
    journal.close()
    file = tmp_path / JOURNAL
    lines = file.read_text().split("\n")
    assert Journal(tmp_path, COMMAND, False).found == dict(zip("abc", entries, strict=True))
    file.write_bytes("\n".join([lines[0], '{"epoch": 1}', lines[2], lines[3][:-9]]).encode() + b"\xff\x00")
    assert list(Journal(tmp_path, COMMAND, False).found) == ["b"]
    file.write_bytes(b"\x93NUMPY")
    with pytest.raises(UsageError, match="is not empty"):
        Journal(tmp_path, COMMAND, False)
    assert Journal(tmp_path, COMMAND, True).found == {}


@pytest.mark.fault("two processes run `jaxaug augment` into one folder", "the second is refused and writes nothing")
def test_two_at_once(tmp_path):
    first, second = (Journal(tmp_path / "out", COMMAND, False) for _ in range(2))
    first.begin({})
    with pytest.raises(UsageError, match=r"another process is writing into .*out: wait for it, or choose another"):
        second.begin({})
    second.close()
    first.close()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [JOURNAL]
    second.begin({})
    second.remove()
    assert not list((tmp_path / "out").iterdir())


def test_folders_that_cannot_be_written(tmp_path, images, monkeypatch):
    """Told before images are decoded."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    monkeypatch.setattr(image_folder, "read_image", None)
    with pytest.raises(UsageError, match=f"cannot write into {tmp_path}: choose another folder"):
        image_folder.augment_folder(POLICY, images, tmp_path / "deep" / "out")
