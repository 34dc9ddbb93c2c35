"""The database for upkeep that reads all of it: without time limits, and never a replica."""

from database import Database


def unhurried(database_url: str | None) -> Database:
    limits = {"statement_timeout_ms": 0, "idle_in_transaction_timeout_ms": 0, "database_read_url": None}
    return Database(Database(database_url).settings.model_copy(update=limits))
