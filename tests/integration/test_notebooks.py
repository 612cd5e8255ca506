"""The notebooks run from start to end with tiny parameters, and are stored without outputs."""

import ast
import json
import pathlib
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
    "augmentations": {"height": 32, "images": 3, "operations": ("Rotate", "AutoContrast"), "policies": ("affine",)},
    "noisy_labels": {"epochs": 1, "seeds": 1, "shares": (0.8,), "compared": ("plain",)},
    "policies": {
        **{"shown": (), "layers": 1, "updates": 1, "search_epochs": 1, "ops": ("Rotate",)},
        **{"epochs": 1, "seeds": 1, "compared": ("none",)},
    },
}
BADGE = "https://colab.research.google.com/github/jaxaug/jaxaug/blob/main/notebooks/"

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
    assert BADGE + path.name in notebook.cells[0].source
    assert set(TINY[path.stem]) <= set(assigned(parameters(notebook).source))


@each_notebook
def test_notebook_runs(path, kernel):
    notebook = read(path)
    cell = parameters(notebook)
    values = assigned(cell.source) | TINY[path.stem]
    cell.source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))  # no names of the notebook before
    client = NotebookClient(notebook, km=kernel, timeout=300, resources={"metadata": {"path": str(path.parent)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
