"""How we connect: settings, engines, transactions, errors and the raw-SQL door. Knows no table."""

from database.database import Database
from database.errors import StoreError
from database.health import Health
from database.raw import Outcome, RawSql, Rows
from database.session import Session
from database.settings import Settings

__all__ = ["Database", "Health", "Outcome", "RawSql", "Rows", "Session", "Settings", "StoreError"]
