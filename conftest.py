"""What all tests of the repository share."""

from importlib.util import find_spec

import pytest

pytest_plugins = ("server_support.engines",)

# What tests have others check for them says what was different, too.
pytest.register_assert_rewrite("support", "server_support")

if find_spec("hypothesis"):  # which not every session of nox has
    from hypothesis import settings

    # On top of the profile that is in force, which is another one where `CI` is set. How long an
    # example takes is no promise of ours, and a machine that stands still for a moment fails none.
    settings.register_profile("corvo", settings(), deadline=None)
    settings.load_profile("corvo")
