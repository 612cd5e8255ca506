"""A table of rich as text for documents: its cells, Markdown, LaTeX."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
}


def cells_of(table: Table) -> tuple[list[str], list[list[str]]]:
    """(titles, rows of cells) of a table, without its colors."""
    columns = [[_plain(cell) for cell in column.cells] for column in table.columns]
    return [_plain(column.header) for column in table.columns], [list(row) for row in zip(*columns, strict=True)]


def as_markdown(table: Table) -> str:
    """The table as GitHub's Markdown, the first words of each line to the left, numbers to the right."""
    titles, rows = cells_of(table)
    lines = [_markdown_line(titles)]
    lines.append("|" + "|".join("---:" if column.justify == "right" else "---" for column in table.columns) + "|")
    return "\n".join([*lines, *map(_markdown_line, rows)]) + "\n"


def as_latex(table: Table) -> str:
    r"""The table as a tabular of LaTeX, with the rules of the package booktabs."""
    titles, rows = cells_of(table)
    places = "".join("r" if column.justify == "right" else "l" for column in table.columns)
    lines = [_latex_line(titles), r"\midrule"]
    for number, row in enumerate(rows):
        lines.append(_latex_line(row))
        if table.rows[number].end_section and number + 1 < len(rows):
            lines.append(r"\midrule")
    return "\n".join([rf"\begin{{tabular}}{{{places}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _plain(cell: object) -> str:
    return Text.from_markup(str(cell)).plain


def _markdown_line(cells: list[str]) -> str:
    # A backslash would escape the bar after it.
    told = [cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", "<br>") for cell in cells]
    return "| " + " | ".join(told) + " |"


def _latex_line(cells: list[str]) -> str:
    told = ["".join(_LATEX.get(sign, sign) for sign in cell) for cell in cells]
    # A cell of several lines is a table itself.
    stacked = [r"\shortstack[l]{" + cell.replace("\n", r" \\ ") + "}" if "\n" in cell else cell for cell in told]
    return " & ".join(stacked) + r" \\"
