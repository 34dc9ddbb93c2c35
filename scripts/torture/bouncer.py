"""pgbouncer in transaction mode between the application and the server: many clients share a few sessions."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from database import Database
from database.url import parse_url
from models import new_id
from repositories import UnitOfWork
from repositories.message_record import MessageRecord
from scripts.torture.contention import crowded
from scripts.torture.journal import text_of
from scripts.torture.report import Row
from scripts.torture.server import Server
from scripts.torture.writers import Orders, new_conversations

FAULT = "pgbouncer"
SESSIONS = 2
PORT = 6432
"""Of a unix socket: a part of its name."""

CONFIGURATION = """
[databases]
* = host={socket} port=5432 user=postgres
[pgbouncer]
listen_port = {port}
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
"""


def is_installed() -> bool:
    return _program() is not None


async def through_pgbouncer(
    server: Server, url: str, folder: Path, *, processes: int = 2, tasks: int = 6, units: int
) -> Row:
    """Twelve clients, two sessions, several kinds of statements in each transaction, whose answers are looked at."""
    conversations = await new_conversations(url, 2)
    with _pgbouncer(server, url) as address:
        orders = Orders(address, folder, conversations, tasks=tasks, units=units, parts=1, settings={"pgbouncer": True})
        return await crowded(FAULT, orders, processes, mixed)


async def mixed(database: Database, orders: Orders, conversation_id: UUID) -> Sequence[MessageRecord]:
    """An answer that belongs to another statement ends the process."""
    id, text = new_id(), text_of(uuid4(), 0, 1)

    async def work(uow: UnitOfWork) -> Sequence[MessageRecord]:
        stored = await uow.messages.append(conversation_id, id=id, role="user", content=text)
        state = await uow.states.set(conversation_id, text, {"number": stored.position})
        assert state.state_value == {"number": stored.position}
        assert (await uow.messages.history(conversation_id, last=1))[0].id == id
        assert await uow.fetch_value("SELECT content FROM messages WHERE id = :id", {"id": id}) == text
        return [stored]

    acknowledged = await UnitOfWork(database).run(work, idempotent=True)
    assert await database.fetch_value("SELECT id FROM messages WHERE content = :text", {"text": text}) == id
    assert await database.fetch_value("SHOW statement_timeout") == "30s"
    return acknowledged


@contextmanager
def _pgbouncer(server: Server, url: str) -> Iterator[str]:
    """The URL of the same database through it."""
    program = _program()
    assert program is not None
    parsed = parse_url(url)
    place = server.new_folder("pgbouncer")
    file = place / "pgbouncer.ini"
    words = {"socket": parsed.query["host"], "port": PORT, "folder": place, "sessions": SESSIONS}
    file.write_text(CONFIGURATION.format_map(words))
    process = server.spawn(program, "--quiet", str(file))
    try:
        _wait_for(place / f".s.PGSQL.{PORT}", process)
        address = parsed.update_query_dict({"host": str(place), "port": str(PORT)})
        yield address.render_as_string(hide_password=False)
    finally:
        process.kill()
        process.wait()


def _program() -> str | None:
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


def _wait_for(socket: Path, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(500):
        if socket.exists():
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError("pgbouncer did not start")
