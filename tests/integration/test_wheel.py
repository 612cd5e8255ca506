"""What is installed: the wheel holds the trainer, its configs and data files, and works where there is no checkout."""

import ast
import fnmatch
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv

import numpy as np
import pytest
from helpers.settings import ROOT
from PIL import Image

import jaxaug as ja

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Modules that are named otherwise than what is installed.
DISTRIBUTIONS = {"PIL": "pillow", "absl": "absl-py", "sklearn": "scikit-learn", "orbax": "orbax-checkpoint"}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path):
    """The packages from outside that a file names in an import, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_every_file_of_the_package_is_in_the_wheel():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["jaxaug"]
    for path in (ROOT / "jaxaug").rglob("*"):
        name = str(path.relative_to(ROOT / "jaxaug"))
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name
    for path in (ROOT / "jaxaug").rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), f"{path.parent} is no package"
    assert PROJECT["tool"]["setuptools"]["data-files"] == {"share/jaxaug/configs": ["configs/*.py"]}


def test_what_is_imported_is_asked_for_with_a_range():
    """Packages that jaxaug imports are declared, in requirements-cpu.txt or an extra, from a version to a version."""
    required = [line for line in (ROOT / "requirements-cpu.txt").read_text().splitlines() if not line.startswith("#")]
    extras = [line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines]
    for line in [*required, *extras]:
        assert re.fullmatch(r"[\w.-]+>=[\d.]+,<[\d.]+|jax\[cuda\d+\]", line), line
    declared = {normal(re.match(r"[\w.-]+", line)[0]) for line in [*required, *extras]}
    for path in (ROOT / "jaxaug").rglob("*.py"):
        for name in set(imported(path)) - set(sys.stdlib_module_names) - {"jaxaug"}:
            assert normal(DISTRIBUTIONS.get(name, name)) in declared, f"{path} imports {name}"


def test_one_version():
    told = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {ja.__version__}\n" in told
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "jaxaug.__version__"}
    assert re.search(rf"^## {re.escape(ja.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.M)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of commands of an environment that has the wheel, and for all else the packages of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in files:  # a copy, for builds leave folders behind
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    build = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(folder / "source")]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    venv.create(folder / "environment", with_pip=True)
    there = {"base": str(folder / "environment"), "platbase": str(folder / "environment")}
    python = pathlib.Path(sysconfig.get_path("scripts", vars=there)) / "python"
    (wheel,) = folder.glob("*.whl")
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True)
    ours = pathlib.Path(sysconfig.get_path("purelib", vars=there)) / "ours.pth"
    ours.write_text(sysconfig.get_path("purelib") + "\n")  # its own .pth files, an editable jaxaug's too, are not read
    return python.parent


def call(installed, folder, *arguments):
    """What a command of the environment says, from a folder without jaxaug."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "XLA_FLAGS"))}
    done = subprocess.run([installed / "jaxaug", *arguments], cwd=folder, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_the_wheel_trains_and_predicts(installed, tmp_path):
    where = subprocess.run(
        [installed / "python", "-c", "import jaxaug; print(jaxaug.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert pathlib.Path(where.stdout.strip()).is_relative_to(installed.parent)
    short = ["--config.seeds=1", "--config.epochs=2", "--config.variants={}", "--config.data.train_size=300"]
    said = call(installed, tmp_path, "train", "--config=isda_digits", *short, "--workdir=run")
    assert "next:" in said
    digits = ja.data.load("digits").test.image[:3]
    (tmp_path / "images").mkdir()
    for number, image in enumerate(digits):
        Image.fromarray(np.asarray(image)[..., 0]).save(tmp_path / "images" / f"{number}.png")
    call(installed, tmp_path, "predict", "run", "images", "--out=predictions.csv")
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 4


@pytest.mark.slow
def test_what_is_installed_fits_together(installed):
    assert importlib.metadata.version("jaxaug")
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
