"""The rules of the house that no linter knows: where a transaction ends, and where a dialect may be told."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = {"models", "database", "repositories", "scripts", "tests", "benchmarks"}
LIBRARY = ("models", "database", "repositories")
DRIVERS = ("sqlalchemy.dialects", "pgvector", "sqlite3", "aiosqlite", "asyncpg")
KNOW_THE_DIALECT = (
    "models/types.py",
    "database/postgres.py",
    "database/sqlite*.py",
    "database/engine.py",  # picks one of the two
    "database/url.py",
    "database/history/*",  # what the migrations are made with
    "repositories/search/*",
    "repositories/upsert.py",
)


def trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # Both: `from sqlalchemy import dialects` names the module by its last part only.
            yield from (f"{node.module}.{name.name}" for name in node.names)


def names_a_dialect(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in {"sqlite", "postgresql"}


def test_a_transaction_ends_in_one_file() -> None:
    ending = {
        file
        for file, tree in trees(*LIBRARY)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"commit", "rollback"}
    }

    # What the drivers call it stands where we connect. The second one undoes its own savepoint, in which alembic's
    # comparison tries a constraint.
    drivers = {"database/postgres.py", "database/sqlite.py", "database/sqlite_connection.py"}
    assert ending - drivers == {"database/unit.py", "database/history/impl.py"}


def test_only_a_few_files_know_the_dialects() -> None:
    knowing = set()
    for file, tree in trees(*LIBRARY):
        imported = any(f"{name}.".startswith(f"{driver}.") for name in imports(tree) for driver in DRIVERS)
        compared = any(
            isinstance(node, ast.Compare) and any(map(names_a_dialect, ast.walk(node))) for node in ast.walk(tree)
        )
        if imported or compared:
            knowing.add(file)

    assert {file for file in knowing if not any(fnmatch(file, known) for known in KNOW_THE_DIALECT)} == set()
    assert "models/types.py" in knowing, "the rule looks for what is no longer there"


def test_a_migration_is_history_and_imports_nothing_of_ours() -> None:
    revisions = list(trees("alembic/versions"))

    assert revisions
    for file, tree in revisions:
        assert OURS.isdisjoint(name.split(".")[0] for name in imports(tree)), file


def test_env_py_imports_the_models_and_the_database_only() -> None:
    [(_, tree)] = [found for found in trees("alembic") if found[0] == "alembic/env.py"]

    assert {name.split(".")[0] for name in imports(tree)} & OURS == {"models", "database"}
