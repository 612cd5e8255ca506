"""A config in fields, as the command line and the tables name them."""

from jaxaug.runs.fields import fields_of


def test_fields():
    """Sequences of slots in one word and their options, the second of a name by its number."""
    config = {
        "seed": 3,
        "loss": [{"name": "isda", "strength": 0.5}, {"name": "focal"}, {"name": "isda", "strength": 1}],
        "model": {"name": "convnet", "widths": [8, 16]},
        "variants": {},
    }
    assert dict(fields_of(config)) == {
        "seed": 3,
        "loss": "isda+focal+isda",
        "loss.isda.strength": 0.5,
        "loss.2.strength": 1,
        "model.name": "convnet",
        "model.widths": [8, 16],
        "variants": {},
    }
