"""What the tests of faults share."""

from tests.migrations.conftest import filled_url as filled_url
from tests.migrations.conftest import new_filled as new_filled
from tests.migrations.conftest import new_filled_postgres as new_filled_postgres
from tests.migrations.conftest import new_filled_sqlite as new_filled_sqlite
from tests.scripts.conftest import command as command
