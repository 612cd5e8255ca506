"""docs/coverage.md counts what it lists, and names configs, rows and components that exist."""

import re
from collections import Counter

from helpers.settings import ROOT, module_of

from jaxaug.core.registry import FAMILIES, list_names

PAGE = (ROOT / "docs" / "coverage.md").read_text()
STATES = ("WORKS", "PARTLY", "OUT", "dead")


def test_the_counts_are_those_of_the_rows():
    sections = re.split(r"^## ", PAGE, flags=re.M)[1:]
    counts = {one.partition("\n")[0]: Counter(re.findall(r"^\|.*\| (\w+) \|.*\|$", one, re.M)) for one in sections}
    told = re.findall(r"^\| (\d\w?\..*|all \d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", PAGE, re.M)
    for title, *numbers in told[:-1]:
        (found,) = [count for name, count in counts.items() if name.replace("`", "") == title]
        assert [found[state] for state in STATES] == list(map(int, numbers)), title
    total = sum(counts.values(), Counter())
    assert told[-1] == (f"all {sum(total[state] for state in STATES)}", *(str(total[state]) for state in STATES))


def test_what_is_missing_is_explained():
    """A row that does not work says why in words."""
    for row in re.findall(r"^\| (?!section).*\| (?:PARTLY|OUT) \| (.*) \|$", PAGE, re.M):
        assert len(row.split()) >= 4, row


def test_what_it_names_exists():
    for name, word in re.findall(r"configs/(\w+)\.py(?::([\w,-]+))?", PAGE):
        assert (ROOT / "configs" / f"{name}.py").exists(), name
        if word:
            module_of(name).get_config(word)
    rows = re.findall(r"rows? `((?:se_|resnext-|shake_|densenet_|wide_)[\w-]+)`", PAGE)
    assert len(rows) >= 7
    assert set(rows) <= set(module_of("isda_cifar").ROWS)
    names = {name for family in FAMILIES for name in list_names(family)}
    assert {"online_label_smoothing", "pixel_isda", "lighting", "learned", "imagenet_v2", "shake_resnext"} <= names
