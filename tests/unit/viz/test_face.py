"""The public face of the package."""

import subprocess
import sys
import types

from helpers.settings import ROOT

from jaxaug import viz


def test_dir_lists_the_public_names_and_no_others():
    """Each is a function with a docstring, the ones with the name of their module too."""
    assert dir(viz) == sorted(viz.__all__)
    for name in viz.__all__:
        assert isinstance(getattr(viz, name), types.FunctionType), name
        assert getattr(viz, name).__doc__


def test_matplotlib_is_not_imported_before_something_is_drawn():
    code = "import jaxaug.viz, sys; assert not [name for name in sys.modules if name.partition('.')[0] == 'matplotlib']"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
