"""Tables as Markdown and LaTeX: what is in a cell is in the text, and nothing of it is taken for markup."""

import re

import pytest
from rich.markup import escape
from rich.table import Table

from jaxaug.analysis.table_formats import as_latex, as_markdown, cells_of

NASTY = r"a_b & 50% $x$ #1 {y} \z ~ ^ | [red]"


@pytest.fixture
def table():
    drawn = Table(title="ignored")
    drawn.add_column("method")
    drawn.add_column("top-1\nfinal", justify="right")
    drawn.add_row(escape(NASTY), "98.00 ± 0.10", end_section=True)
    drawn.add_row("plain\n  loss=()", "")
    return drawn


def test_cells(table):
    assert cells_of(table) == (
        ["method", "top-1\nfinal"],
        [[NASTY, "98.00 ± 0.10"], ["plain\n  loss=()", ""]],
    )


def test_markdown(table):
    title, rule, first, second = as_markdown(table).splitlines()
    assert title == "| method | top-1<br>final |"
    assert rule == "|---|---:|"
    assert len(re.split(r"(?<!\\)\|", first)) == 4, "a bar in a cell does not end it"
    assert r"\\z" in first
    assert second == "| plain<br>  loss=() |  |"


def test_latex(table):
    lines = as_latex(table).splitlines()
    assert lines[0] == r"\begin{tabular}{lr}"
    assert lines[1] == r"\toprule"
    assert lines[2] == r"method & \shortstack[l]{top-1 \\ final} \\"
    told = r"a\_b \& 50\% \$x\$ \#1 \{y\} \textbackslash{}z \textasciitilde{} \textasciicircum{} | [red]"
    assert lines[4] == told + r" & 98.00 $\pm$ 0.10 \\"
    assert lines.count(r"\midrule") == 2, "after the titles and between sections"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
