"""The database for upkeep that reads all of it: without time limits, and never a replica."""

from database import Database


def unhurried(database_url: str | None) -> Database:
    times = dict.fromkeys(("statement_timeout_ms", "lock_timeout_ms", "idle_in_transaction_timeout_ms"), 0)
    limits = {**times, "database_read_url": None}
    return Database(Database(database_url).settings.model_copy(update=limits))
