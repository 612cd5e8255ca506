"""The house itself: imports go down, packages have one face, files and functions stay small, nothing is half done."""

import ast
import importlib
import inspect
import re
import subprocess
import sys

import pytest
from helpers.settings import ROOT

import jaxaug as ja

PACKAGE = ROOT / "jaxaug"
FILES = sorted(PACKAGE.rglob("*.py"))
# A package may import those of earlier lines, never one of its own line; docs/architecture.md has the same table.
LEVELS = (
    ("core",),
    ("ops", "losses", "models", "optim", "bilevel", "data", "runs"),
    ("policies", "robustness"),
    ("augment", "viz"),
    ("search", "tasks", "label_errors"),
    ("train",),
    ("analysis", "inference", "planning"),
    ("cli",),
)
LEVEL_OF = {package: i for i, packages in enumerate(LEVELS) for package in packages}
PUBLIC = sorted(set(ja.__all__) & set(LEVEL_OF))
MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_PACKAGES, MOST_LEVELS = 400, 40, 20, 9


def package_of(path):
    return path.relative_to(PACKAGE).parts[0]


def imports_of(path):
    """The packages of jaxaug that a file imports, whatever for."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "jaxaug":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxaug."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("jaxaug."))


def test_packages():
    """The root holds nothing but its face and the door; every package has its level."""
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} == set(LEVEL_OF)
    assert len(LEVEL_OF) <= MOST_PACKAGES
    assert len(LEVELS) <= MOST_LEVELS


@pytest.mark.parametrize("package", LEVEL_OF)
def test_imports_go_down(package):
    for path in (PACKAGE / package).rglob("*.py"):
        for imported in set(imports_of(path)) - {package}:
            assert imported in LEVEL_OF, f"{path} imports {imported}"
            assert LEVEL_OF[imported] < LEVEL_OF[package], f"{path} imports {imported}"


def test_the_architecture_page_has_this_table():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for packages in LEVELS:
        for package in packages:
            assert re.search(rf"^\| .*`{package}`", text, re.M), package


@pytest.mark.parametrize("path", [p for p in FILES if len(p.relative_to(PACKAGE).parts) > 1], ids=lambda p: p.name)
def test_no_library_knows_the_config(path):
    """Config objects and addresses of their fields belong to the trainer and what is above it."""
    if LEVEL_OF[package_of(path)] >= LEVEL_OF["train"]:
        return
    text = path.read_text()
    assert "ml_collections" not in text
    code = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise)]
    assert not [node.lineno for node in code if "config." in ast.unparse(node)]


def test_importing_is_light():
    """`import jaxaug` and `dir` of it import neither JAX nor NumPy; data sets and tables of runs need no JAX."""
    program = (
        "import sys, jaxaug; dir(jaxaug); heavy = {'jax', 'numpy', 'flax', 'matplotlib'} & set(sys.modules); "
        "assert not heavy, heavy; "
        "jaxaug.data.load('digits'); import jaxaug.analysis.results_table; assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_package_lists_its_public_names_and_no_others(name):
    package = importlib.import_module(f"jaxaug.{name}")
    assert dir(package) == sorted(package.__all__)
    for public in package.__all__:
        found = getattr(package, public)
        assert not inspect.ismodule(found), f"{name}.{public}"
        if callable(found) and getattr(found, "__module__", "").startswith("jaxaug"):
            assert inspect.getdoc(found), f"{name}.{public}"


EVERYTHING = [
    *FILES,
    ROOT / "main.py",
    *(p for d in ("tests", "configs", "benchmarks", "docs") for p in (ROOT / d).rglob("*.py")),
]


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_small(path):
    text = path.read_text()
    assert path.name != "utils.py"
    assert text.count("\n") <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is None:
            lines = node.end_lineno - node.lineno + 1
        elif isinstance(node, ast.FunctionDef):
            documentation = node.body[0]
            lines = node.end_lineno - node.lineno + 1 - (documentation.end_lineno - documentation.lineno + 1)
        else:
            continue
        assert lines <= MOST_LINES_OF_A_FUNCTION, f"{node.name} has {lines} lines besides its docstring"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_public_names_are_documented(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            told = ast.get_docstring(node)
            assert told, node.name
            assert not told.startswith(("That of", "The same")), node.name


def test_nothing_is_half_done():
    for path in FILES:
        assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text()), path


def test_equations_point_to_code():
    """docs/equations.md names a file and a function for every equation: they exist."""
    rows = re.findall(r"`(jaxaug/[\w/]+\.py):([\w.]+)`", (ROOT / "docs" / "equations.md").read_text())
    assert len(rows) >= 8
    for file, name in rows:
        names = {n.name for n in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(n, "name")}
        assert name.split(".")[-1] in names, (file, name)


def test_the_table_of_faults_is_of_tests_that_pass():
    """docs/reliability.md, as `make reliability` writes it: every test is there, and no promise was broken."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert "not so" not in text
    tests = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text))
    assert len(tests) >= 20
    for file, name in tests:
        assert f"def {name}(" in (ROOT / file).read_text(), (file, name)


def test_tests_lie_where_their_module_lies():
    """tests/unit has the packages of jaxaug, and a test file for a module is named for one."""
    unit = ROOT / "tests" / "unit"
    assert {path.name for path in unit.iterdir() if path.is_dir() and path.name != "__pycache__"} <= set(LEVEL_OF)
