"""The house itself: imports go down, files and functions stay small, nothing is half done."""

import ast
import re

import pytest
from helpers.settings import ROOT

PACKAGE = ROOT / "jaxaug"
FILES = sorted(PACKAGE.rglob("*.py"))

# A module may import those of a lower number; the numbers are those of docs/architecture.md.
FLOORS = {
    "errors": 0,
    "files": 0,
    "interrupt": 0,
    "types": 0,
    "find": 1,
    "devices": 1,
    "canvas": 1,
    "losses": 2,
    "models": 2,
    "data": 2,
    "augment": 2,
    "optim": 2,
    "store": 2,
    "report": 2,
    "figures": 2,
    "feed": 3,
    "search": 3,
    "robustness": 3,
    "defaults": 4,
    "metrics": 3,
    "workdir": 3,
    "recipes": 1,
    "gather": 2,
    "results": 3,
    "portraits": 3,
    "objective": 4,
    "steps": 5,
    "job": 6,
    "evaluation": 7,
    "searching": 7,
    "suspects": 7,
    "finished": 7,
    "policy_search": 7,
    "findings": 8,
    "stress": 8,
    "loop": 9,
    "gallery": 9,
    "sweep": 10,
    "__main__": 11,
}


def part_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path):
    """The parts of jaxaug that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "jaxaug":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxaug."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("jaxaug."))


def test_every_module_has_a_floor():
    assert {part_of(path) for path in FILES} - {"__init__"} == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    part = part_of(path)
    for imported in set(imports_of(path)) - {part}:
        assert FLOORS[imported] < FLOORS[part], f"{part} imports {imported}"


EVERYTHING = [
    *FILES,
    ROOT / "main.py",
    *(p for d in ("tests", "configs", "benchmarks") for p in (ROOT / d).rglob("*.py")),
]


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_small(path):
    text = path.read_text()
    assert path.name != "utils.py"
    assert text.count("\n") <= 220
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is None:
            lines = node.end_lineno - node.lineno + 1
        elif isinstance(node, ast.FunctionDef):
            documentation = node.body[0]
            lines = node.end_lineno - node.lineno + 1 - (documentation.end_lineno - documentation.lineno + 1)
        else:
            continue
        assert lines <= 40, f"{node.name} has {lines} lines besides its docstring"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_public_names_are_documented(path):
    tree = ast.parse(path.read_text())
    if path.stat().st_size:
        assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


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
