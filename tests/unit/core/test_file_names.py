"""Names for files that are made of others."""

from pathlib import PurePath

from jaxaug.core.file_names import names_without_endings


def test_names_without_endings():
    """Without the ending, unless two would share a name, or one is another's name without its ending."""
    paths = ["a.png", "b.jpg", "b.png", "deep/b.png", "c", "c.png"]
    expected = ["a", "b.jpg", "b.png", "deep/b", "c", "c.png"]
    assert names_without_endings([PurePath(path) for path in paths]) == expected
