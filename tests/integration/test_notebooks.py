"""The notebooks run from start to end with tiny parameters, and are stored without outputs."""

import ast
import json
import pathlib
import re
import sys

import nbformat
import pytest
from helpers.settings import QUICK, ROOT
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TINY = {
    "isda": {"epochs": 1, "seeds": 1, "rows": 300, "draws": 4},
    "isda_directions": {"epochs": 1, "rows": 300, "steps": 2, "classes": (1, 4)},
    "augmentations": {"height": 32, "images": 3, "operations": ("Rotate", "AutoContrast"), "policies": ("affine",)},
    "noisy_labels": {"epochs": 1, "seeds": 1, "shares": (0.8,), "compared": ("plain",)},
    "policies": {
        **{"shown": (), "layers": 1, "updates": 1, "search_epochs": 1, "ops": ("Rotate",)},
        **{"epochs": 1, "seeds": 1, "compared": ("none",)},
    },
}
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: pathlib.Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def parameters(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The one cell that papermill, and these tests, set values in."""
    (found,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return found


def assigned(source: str) -> dict[str, object]:
    """name -> value of the plain assignments that a parameters cell consists of."""
    return {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(source).body}


def kernel_of_this_interpreter(folder: pathlib.Path) -> AsyncKernelManager:
    """A kernel that needs no installed kernelspec and cannot be another environment's."""
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "tests",
        "language": "python",
        # One device, as a reader has; conftest.py gives the tests two.
        "env": {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": QUICK,
            "IPYTHONDIR": str(folder / "ipython"),
            # Without it a notebook in an environment where jaxaug is not installed would install it.
            "PYTHONPATH": str(ROOT),
            # What an earlier call of the tests compiled need not be compiled again.
            "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".pytest_cache" / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
    }
    (folder / "tests").mkdir()
    (folder / "tests" / "kernel.json").write_text(json.dumps(spec))
    return AsyncKernelManager(kernel_name="tests", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder)]))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One for all notebooks: importing JAX, Flax and matplotlib takes as long as some of them do."""
    manager = kernel_of_this_interpreter(tmp_path_factory.mktemp("kernel"))
    yield manager
    if manager.has_kernel:
        run_sync(manager.shutdown_kernel)(now=True)


def test_there_are_notebooks():
    assert NOTEBOOKS


@each_notebook
def test_notebook_is_stored_as_agreed(path):
    notebook = read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert "In Colab:" in notebook.cells[0].source
    assert not re.search(r"github\.com|pypi\.org", path.read_text())  # no address that is a guess
    assert set(TINY[path.stem]) <= set(assigned(parameters(notebook).source))


@pytest.fixture(scope="module")
def found_around():
    """Where the first cell, which all notebooks share, looks for what it installs."""
    (source,) = {read(path).cells[1].source for path in NOTEBOOKS}
    names = {}
    exec(source.replace("%pip", "pass  #"), names)  # installs nothing: jaxaug is there
    return names["found_around"]


def test_the_first_cell_finds_a_tree_or_a_wheel(found_around, tmp_path):
    """From any folder of a clone, from one that holds a clone, and beside a wheel; else it says what is to be done."""
    for file in ("pyproject.toml", "jaxaug/__init__.py", "notebooks/x.ipynb"):
        (tmp_path / "home" / "clone" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / "clone" / file).touch()
    clone, wheels = tmp_path / "home" / "clone", tmp_path / "wheels"
    for file in (clone / "notebooks" / "x.ipynb", clone / "notebooks", clone.parent):
        assert found_around(file) == clone
    with pytest.raises(FileNotFoundError, match=r"put jaxaug-\*\.whl beside it"):
        found_around(wheels)
    wheels.mkdir()
    (wheels / "jaxaug-0.1.0-py3-none-any.whl").touch()
    assert found_around(wheels / "x.ipynb") == wheels / "jaxaug-0.1.0-py3-none-any.whl"
    assert found_around(wheels / "x.ipynb", clone) == wheels / "jaxaug-0.1.0-py3-none-any.whl"


@each_notebook
def test_notebook_runs(path, kernel, tmp_path):
    """From a folder that is not its own."""
    notebook = read(path)
    cell = parameters(notebook)
    values = assigned(cell.source) | TINY[path.stem]
    cell.source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))  # no names of the notebook before
    client = NotebookClient(notebook, km=kernel, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
