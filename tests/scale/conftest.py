"""Commands, as the tests of the command line call them."""

from tests.unit.cli import conftest as commands

ig = commands.ig
