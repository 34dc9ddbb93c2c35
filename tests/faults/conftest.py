"""What the tests of faults share: commands, and processes forked from one that has imported what they need."""

from tests import processes as processes
from tests.scripts.conftest import command as command
