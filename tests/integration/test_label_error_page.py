"""The page of label errors, opened in headless Chromium: what a person clicks, sees and downloads."""

import numpy as np
import pytest
from helpers.browser import chromium, layout_of, opened
from PIL import Image

from jaxaug import data, label_errors
from jaxaug.label_errors.listing import PAGE, write_listing
from jaxaug.label_errors.reading import read_rows

NAMES = ("ape", "bat")


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Bright apes and dark bats, flat in two folders; bat/1 is an ape."""
    folder, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for name, level in (("ape", 190), ("bat", 60)):
        (folder / name).mkdir()
        for i in range(8):
            wrong = (name, i) == ("bat", 1)
            pixels = random.normal(190 if wrong else level, 12, (24, 24, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def shown(page):
    """The keys of the cards, as they stand."""
    return page.eval_on_selector_all(".card", "cards => cards.map((card) => card.dataset.key)")


def click(page, key, word):
    page.click(f'.card[data-key="{key}"] button:has-text("{word}")')


@pytest.fixture(scope="module")
def listed(browser, photographs, tmp_path_factory):
    """The page of the six most suspicious of them."""
    rows = read_rows(photographs)
    said = np.full((16, 2), 0.2) + 0.6 * np.eye(2)[np.where(np.arange(16) == 9, 0, rows.label)]
    said[[0, 3, 10, 12]] = [[0.55, 0.45], [0.6, 0.4], [0.41, 0.59], [0.42, 0.58]]
    folder = tmp_path_factory.mktemp("found")
    write_listing(folder, rows, label_errors.find(rows.label, said), shown=6)
    return folder / PAGE


def test_label_errors_are_sorted_and_filtered(browser, listed):
    with opened(browser, listed) as page:
        assert layout_of(page) == {"lost": [], "wider": 0}
        assert "16 images" in page.inner_text("#about")
        first = shown(page)
        headings = page.eval_on_selector_all("h2", "found => found.map((one) => one.textContent)")
        assert "labelled bat, looks like ape (1)" in headings
        page.select_option("#sort", "key")
        assert shown(page) == sorted(first)
        page.select_option("#sort", "score")
        assert shown(page)[0] == "bat/1.png"
        assert set(shown(page)) == set(first)
        page.fill("#text", "BAT/")
        assert set(shown(page)) == {key for key in first if key.startswith("bat/")}
        page.fill("#text", "")
        page.select_option("#given", label="ape")
        assert set(shown(page)) == {key for key in first if key.startswith("ape/")}


def test_label_errors_are_marked_and_trained_on(browser, listed, photographs, tmp_path):
    """Wrong, right and unsure are clicked; the corrected table is what `data.labels` reads."""
    with opened(browser, listed) as page:
        page.select_option("#sort", "score")
        click(page, "bat/1.png", "wrong")
        assert page.input_value('.card[data-key="bat/1.png"] select') == "0", "the suggested class is taken"
        right, unsure, left_out = shown(page)[1:4]
        click(page, right, "right")
        click(page, unsure, "unsure")
        click(page, left_out, "wrong")
        page.select_option(f'.card[data-key="{left_out}"] select', label="leave the row out")
        assert page.get_attribute(f'.card[data-key="{unsure}"]', "class").split() == ["card", "unsure", "small"]
        page.select_option("#marked", "wrong")
        assert shown(page) == ["bat/1.png", left_out]
        page.reload()
        assert page.inner_text("#count") == "6 of 6 shown, 4 marked", "marks stay in the browser"
        with page.expect_download() as download:
            page.click("#download")
        assert download.value.suggested_filename == "corrected.csv"
        download.value.save_as(tmp_path / "corrected.csv")
    before, after = (labels_of(photographs, labels) for labels in ("", str(tmp_path / "corrected.csv")))
    assert {key for key in before if key not in after} == {left_out}
    assert {key for key in after if after[key] != before[key]} == {"bat/1.png"}


def labels_of(photographs, labels):
    """file -> class of the training rows."""
    found = data.load("folder", path=str(photographs), flat=True, validation_size=2, labels=labels)
    return {found.files[i]: int(label) for i, label in zip(found.train.index, found.train.label, strict=True)}
