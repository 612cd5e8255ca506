"""Pages of HTML that hold everything they show: one file, which fetches nothing.

Texts given to these functions are plain and are escaped here; what they return is HTML.
"""

from __future__ import annotations

import base64
import html
import importlib.resources
import io
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL = 96  # pixels: pictures up to that side are shown with their pixels
DOTS, SHOWN_DOTS = 160, 80  # per inch of a figure, as it is stored for sharp screens and as it is laid out


class Card(NamedTuple):
    """A picture with a line below it, and a smaller one.

    Attributes:
      image: uint8 [H W C] or [H W].
      line: below it.
      name: below that, smaller.
    """

    image: np.ndarray
    line: str
    name: str = ""


def style() -> str:
    """The style sheet that pages share."""
    return importlib.resources.files("jaxaug.viz").joinpath("page.css").read_text()


def pixels_of(image: np.ndarray) -> np.ndarray:
    """[H W C] on the 0..255 scale -> uint8 [H W 3] or [H W]; the mean of other numbers of channels."""
    image = np.clip(np.round(image), 0, 255)
    return image.astype(np.uint8) if image.shape[-1] == 3 else image.mean(axis=-1).astype(np.uint8)


def embedded_json(data: Any) -> str:
    """JSON that may stand in a script element: "</script>" in a name does not end it."""
    return json.dumps(data).replace("<", "\\u003c")


def is_small(size: Sequence[int]) -> bool:
    """Whether a picture of (width, height) is shown with its pixels."""
    return max(size) <= SMALL


def picture_address(picture: Image.Image) -> str:
    """A picture as a data address, PNG if it is small, else JPEG."""
    content, small = io.BytesIO(), is_small(picture.size)
    picture.save(content, **({"format": "PNG"} if small else {"format": "JPEG", "quality": 85}))
    return _address("png" if small else "jpeg", content.getvalue())


def page(title: str, *parts: str) -> str:
    """A whole page of parts that are HTML already."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{style()}</style>\n</head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2, anchor: str = "") -> str:
    """A heading of a level, 2 the highest, to which "#anchor" leads."""
    place = f' id="{html.escape(anchor)}"' if anchor else ""
    return f"<h{level}{place}>{html.escape(text)}</h{level}>"


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(text)}</p>"


def links(anchors: Iterable[tuple[str, str]]) -> str:
    """A line of links within the page, of pairs (anchor, text)."""
    told = [f'<a href="#{html.escape(anchor)}">{html.escape(text)}</a>' for anchor, text in anchors]
    return f"<nav>{' · '.join(told)}</nav>"


def listing(lines: Iterable[str]) -> str:
    """Lines with a dot before each."""
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def preformatted(text: str) -> str:
    """A text with its line breaks and spaces."""
    return f"<pre>{html.escape(text)}</pre>"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, words: bool = False) -> str:
    """A table, the first column to the left, the others to the right.

    Args:
      head: titles of the columns; () for none.
      rows: their cells.
      words: whether all columns stand to the left.
    """

    def line(cells: Sequence[Any], name: str) -> str:
        return "<tr>" + "".join(f"<{name}>{html.escape(str(cell))}</{name}>" for cell in cells) + "</tr>"

    lines = [line(head, "th")] * bool(head) + [line(row, "td") for row in rows]
    return f'<div class="wide"><table{" class=words" if words else ""}>' + "".join(lines) + "</table></div>"


def picture(figure: Figure, words: str) -> str:
    """A matplotlib figure. words: what it shows, for those who cannot see it."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DOTS)
    width = round(figure.get_size_inches()[0] * SHOWN_DOTS)
    address = _address("png", content.getvalue())
    return f'<img src="{address}" alt="{html.escape(words)}" width="{width}" style="max-width: 100%; height: auto">'


def cards(shown: Iterable[Card]) -> str:
    """Pictures side by side, each with its lines."""
    return '<div class="cards">' + "".join(map(_card, shown)) + "</div>"


def beside(*parts: str) -> str:
    """Parts side by side where there is room."""
    return '<div class="beside">' + "".join(f"<div>{part}</div>" for part in parts if part) + "</div>"


def folded(title: str, *parts: str) -> str:
    """Parts that show when their title is clicked."""
    return f"<details><summary>{html.escape(title)}</summary>{''.join(parts)}</details>"


def _card(card: Card) -> str:
    image = Image.fromarray(card.image)
    name = f'<div class="name">{html.escape(card.name)}</div>' if card.name else ""
    return (
        f'<div class="card{" small" if is_small(image.size) else ""}">'
        f'<img src="{picture_address(image)}" alt="{html.escape(card.name or card.line)}">'
        f"<div>{html.escape(card.line)}</div>{name}</div>"
    )


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
