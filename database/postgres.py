"""How we connect to PostgreSQL: timeouts, TLS, the binary vector codec, and a check of what has idled."""

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa
from pgvector.asyncpg import register_vector
from sqlalchemy import event, exc
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from database.errors import ConfigurationError, StoreError
from database.health import Damage, IndexedColumns, VectorSupport
from database.postgres_copy import copy_bulk_inserts
from database.settings import Settings
from database.translation import translate
from models.values import dump_json, load_json

Register: TypeAlias = Callable[[Any], Awaitable[None]]

LEAST_SERVER = (16,)
LEAST_PGVECTOR = (0, 8)
IDLE_SINCE = "persona_store_idle_since"
KNOWS_VECTORS = "persona_store_knows_vectors"


PGBOUNCER: dict[str, Any] = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}
"""No statement is kept, and none has a name: each transaction may meet another session of the server."""


def create_engine(url: sa.URL, settings: Settings) -> AsyncEngine:
    url, tls = _tls(url)
    query = dict(url.query)
    name = query.pop("application_name", settings.application_name)
    timeout = query.pop("connect_timeout", settings.connect_timeout)
    engine = create_async_engine(
        url.set(query=query),
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
        pool_timeout=settings.pool_timeout,
        pool_recycle=settings.pool_recycle,
        # The connection that was used last has what it needs at hand, here and in the server.
        pool_use_lifo=True,
        echo=settings.echo,
        hide_parameters=True,
        json_serializer=dump_json,
        json_deserializer=load_json,
        connect_args={
            **tls,
            "timeout": float(str(timeout)),
            **(PGBOUNCER if settings.pgbouncer else {}),
            "server_settings": {"application_name": str(name), **({} if settings.pgbouncer else _limits(settings))},
        },
    )
    copy_bulk_inserts(engine)
    _listen(engine, settings.ping_after, register_in_transaction if settings.pgbouncer else register_vector)
    if settings.pgbouncer:
        _limit_each_transaction(engine, _limits(settings))
    return engine


def _limits(settings: Settings) -> dict[str, str]:
    return {
        "statement_timeout": str(settings.statement_timeout_ms),
        "lock_timeout": str(settings.lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(settings.idle_in_transaction_timeout_ms),
        # It compiles what is reckoned to be long: a search, at each call, for longer than the search takes.
        "jit": "off",
    }


@dataclass(frozen=True, slots=True)
class Direct:
    """Statements sent by asyncpg itself, which prepares each once. pgbouncer needs more care than that."""

    is_direct: bool

    async def fetch(
        self, connection: Any, sql: str, values: Sequence[object], *, begins: bool
    ) -> Sequence[Sequence[Any]]:
        try:
            async with connection._execute_mutex:
                if begins and connection._transaction is None:
                    await connection._start_transaction()
                found: Sequence[Sequence[Any]] = await connection.driver_connection.fetch(sql, *values)
                return found
        except Exception as error:
            connection._handle_exception(error)
            raise

    async def commit(self, connection: Any) -> None:
        if connection._transaction is not None:
            try:
                await connection._call_and_discard(connection._transaction.commit)
            except Exception as error:
                connection._handle_exception(error)

    def has_begun(self, connection: Any) -> bool:
        return connection._transaction is not None

    def waits_to_return(self, connection: Any) -> bool:
        return self.has_begun(connection)


def driver(settings: Settings) -> Direct:
    return Direct(not (settings.pgbouncer or settings.echo))


def read_only(engine: AsyncEngine) -> AsyncEngine:
    """The same pool; its transactions begin READ ONLY."""
    return engine.execution_options(postgresql_readonly=True)


def autocommit(engine: AsyncEngine) -> AsyncEngine:
    """The same pool; each statement by itself, outside of any transaction."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def vector_support(connection: Connection) -> VectorSupport:
    version = connection.scalar(sa.text("SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
    return VectorSupport("pgvector", version, ".".join(map(str, LEAST_PGVECTOR)))


INDEXED_COLUMNS = """
SELECT t.relname, array_agg(a.attname ORDER BY k.place) AS columns
FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid
CROSS JOIN LATERAL unnest(CAST(i.indkey AS int2[])) WITH ORDINALITY AS k(number, place)
LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indpred IS NULL AND i.indisvalid AND k.place <= i.indnkeyatts AND pg_table_is_visible(t.oid)
GROUP BY t.relname, i.indexrelid
"""


def indexed_columns(connection: Connection) -> IndexedColumns:
    found: dict[str, list[list[str | None]]] = {}
    for table, columns in connection.execute(sa.text(INDEXED_COLUMNS)):
        found.setdefault(table, []).append(columns)
    return found


INVALID = """
SELECT i.relname AS name FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE NOT x.indisvalid AND i.relname NOT LIKE 'ix\\_hnsw\\_%' AND pg_table_is_visible(i.oid) ORDER BY i.relname
"""
"""But for the indexes of embedding spaces, whose own command builds them."""


def damage(connection: Connection) -> Sequence[Damage]:
    """Indexes that no query uses. Damaged pages the server finds itself, if the cluster has data checksums."""
    return [Damage(name, "is an invalid index", 1, True) for name in connection.scalars(sa.text(INVALID))]


def rebuild_damaged(connection: Connection) -> None:
    for name in connection.scalars(sa.text(INVALID)).all():
        connection.exec_driver_sql(f'REINDEX INDEX "{name}"')


def _tls(url: sa.URL) -> tuple[sa.URL, dict[str, Any]]:
    """libpq's TLS words as asyncpg takes them."""
    words = ("sslmode", "sslrootcert", "sslcert", "sslkey")
    given = {word: str(url.query[word]) for word in words if word in url.query}
    url = url.difference_update_query(words)
    mode = given.get("sslmode")
    if mode is None or len(given) == 1:
        return url, {} if mode is None else {"ssl": mode}
    try:
        context = ssl.create_default_context(cafile=given.get("sslrootcert"))
        if "sslcert" in given:
            context.load_cert_chain(given["sslcert"], given.get("sslkey"))
    except OSError as error:
        raise ConfigurationError("the TLS files that the database URL names cannot be read") from error
    context.check_hostname = mode == "verify-full"
    if mode not in ("verify-full", "verify-ca"):
        context.verify_mode = ssl.CERT_NONE
    return url, {"ssl": context}


def _limit_each_transaction(engine: AsyncEngine, limits: Mapping[str, str]) -> None:
    """pgbouncer takes no settings at the start of a session; what is set in one for good, others would inherit."""
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in limits.items())

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT {calls}")


def _listen(engine: AsyncEngine, ping_after: float, register: Register) -> None:
    sync_engine = engine.sync_engine

    @event.listens_for(sync_engine, "do_connect")
    def connect(dialect: Dialect, entry: ConnectionPoolEntry, args: Any, kwargs: Any) -> Any:
        try:
            return dialect.connect(*args, **kwargs)
        except StoreError:
            raise
        except Exception as error:
            ours = translate(error)
            if ours is None:
                raise
            raise ours from error

    @event.listens_for(sync_engine, "connect")
    def connected(connection: Any, entry: ConnectionPoolEntry) -> None:
        server = connection.driver_connection.get_server_version()
        if (server.major,) < LEAST_SERVER:
            raise ConfigurationError(f"PostgreSQL {LEAST_SERVER[0]} or newer is needed, this is {server.major}")
        entry.info[KNOWS_VECTORS] = _register(connection, register)

    @event.listens_for(sync_engine, "checkin")
    def returned(connection: Any, entry: ConnectionPoolEntry) -> None:
        entry.info[IDLE_SINCE] = time.monotonic()

    @event.listens_for(sync_engine, "checkout")
    def taken(connection: Any, entry: ConnectionPoolEntry, proxy: Any) -> None:
        if has_ended(connection):
            raise exc.InvalidatePoolError()
        idle_since = entry.info.get(IDLE_SINCE)
        if idle_since is not None and time.monotonic() - idle_since >= ping_after:
            try:
                sync_engine.dialect.do_ping(connection)
            except Exception as error:
                raise exc.InvalidatePoolError() from error
        if not entry.info.get(KNOWS_VECTORS):
            entry.info[KNOWS_VECTORS] = _register(connection, register)


def has_ended(connection: Any) -> bool:
    """Whether the driver has heard that the server ended the session, while nobody used it."""
    return bool(connection.driver_connection.is_closed())


async def register_in_transaction(connection: Any) -> None:
    """It asks in several steps, all of which must meet the same session of the server."""
    async with connection.transaction():
        await register_vector(connection)


def _register(connection: Any, register: Register) -> bool:
    """Teach the connection pgvector's binary form; False while the extension is not there."""
    try:
        connection.run_async(register)
    except ValueError:
        return False
    return True
