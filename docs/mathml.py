"""Formulas between dollar signs as MathML, which browsers draw without a script; `make docs` gives it to Markdown."""

import re

from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor

PATTERN = r"(?<![\\$\w])(\$\$?)(?=\S)([^$]+?)(?<=\S)\1(?![$\w])"
BEFORE_ESCAPES = 185  # and behind code, 190, which may hold dollars


class Formula(InlineProcessor):
    """$inline$ or $$on a line of its own$$."""

    def handleMatch(self, match: re.Match, data: str) -> tuple[str, int, int]:
        """The formula as finished HTML, and where it began and ended."""
        display = "inline" if match.group(1) == "$" else "block"
        html = convert(match.group(2).replace("\n", " "), display=display)
        return self.md.htmlStash.store(html), match.start(0), match.end(0)


class MathML(Extension):
    """Beside the other inline patterns."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Before backslashes mean anything else."""
        md.inlinePatterns.register(Formula(PATTERN, md), "mathml", BEFORE_ESCAPES)


def makeExtension(**options: object) -> MathML:
    """What Markdown calls."""
    return MathML(**options)
