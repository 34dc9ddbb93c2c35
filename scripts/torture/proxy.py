"""A server's address that breaks connections where it hurts: at COMMIT, before the server hears of it or after."""

import asyncio
import re
import struct
from enum import StrEnum
from typing import Self

from database.url import parse_url

STARTUP_REQUESTS = {80877103: b"N", 80877104: b"N"}
"""Asks for TLS and for GSSAPI encryption; the answer is no."""

HEADER = 5
"""Bytes: the type of a message, and its length without the type."""

READY = b"Z"
"""The server is ready for the next query; what was to be committed is."""

WRITES = re.compile(rb"\b(INSERT|UPDATE|DELETE)\b", re.IGNORECASE)


class Cut(StrEnum):
    BEFORE = "before"
    AFTER = "after"


class Talk:
    """What a client and the server have said, as far as it tells which message makes the server commit: COMMIT, and
    outside of a transaction the Sync behind a prepared statement that writes."""

    def __init__(self) -> None:
        self._writing: set[bytes] = set()
        self._in_transaction = False
        self._syncs = False

    def commits(self, message: bytes) -> bool:
        kind, body = message[:1], message[HEADER:]
        if kind == b"P":
            name, sql = body.split(b"\0")[:2]
            (self._writing.add if WRITES.search(sql) else self._writing.discard)(name)
        elif kind == b"B":
            self._syncs = not self._in_transaction and body.split(b"\0")[1] in self._writing
        elif kind == b"S":
            syncs, self._syncs = self._syncs, False
            return syncs
        return kind == b"Q" and body.rstrip(b"\0; ").upper() == b"COMMIT"

    def answered(self, message: bytes) -> None:
        if message[:1] == READY:
            self._in_transaction = message[HEADER:] != b"I"


class Proxy:
    """`async with Proxy(url) as proxy:` listens at `proxy.url`; `cut(...)` breaks the connection that commits next."""

    def __init__(self, url: str) -> None:
        self._target = url
        self._next: Cut | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        target = parse_url(self._target).difference_update_query(["host"])
        return target.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)

    def cut(self, when: Cut) -> None:
        self._next = when

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        try:
            startup = await _startup(reader, writer)
            path, host, port = _socket_of(self._target)
            opened = asyncio.open_connection(host, port) if path is None else asyncio.open_unix_connection(path)
            server_reader, server_writer = await opened
            ends.append(server_writer)
            server_writer.write(startup)
            await self._pass_on(reader, writer, server_reader, server_writer)
        except (OSError, EOFError):
            pass
        finally:
            for end in ends:
                end.transport.abort()
            self._tasks.discard(task)

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        """Until one of both closes, or a cut is made: whoever ends first, ends the other."""
        deaf = asyncio.Event()
        talk = Talk()
        both = [
            asyncio.create_task(self._requests(reader, server_writer, talk, deaf)),
            asyncio.create_task(_answers(server_reader, writer, talk, deaf)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _requests(
        self, reader: asyncio.StreamReader, server_writer: asyncio.StreamWriter, talk: Talk, deaf: asyncio.Event
    ) -> None:
        while True:
            message = await _message(reader)
            if talk.commits(message) and self._next is not None:
                when, self._next = self._next, None
                self.cuts += 1
                if when is Cut.BEFORE:
                    return
                deaf.set()
                server_writer.write(message)
                await asyncio.Event().wait()  # _answers ends it, when the server has committed
            server_writer.write(message)
            await server_writer.drain()


async def _answers(
    server_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: Talk, deaf: asyncio.Event
) -> None:
    while True:
        message = await _message(server_reader)
        talk.answered(message)
        if not deaf.is_set():
            writer.write(message)
            await writer.drain()
        elif message[:1] == READY:
            return


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The first message that is more than a question: it alone has no type."""
    while True:
        head = await reader.readexactly(8)
        length, code = struct.unpack("!ii", head)
        if code not in STARTUP_REQUESTS:
            return head + await reader.readexactly(length - 8)
        writer.write(STARTUP_REQUESTS[code])


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(HEADER)
    (length,) = struct.unpack("!i", head[1:])
    return head + await reader.readexactly(length - 4)


def _socket_of(url: str) -> tuple[str | None, str, int]:
    """Where the server of a URL listens: (unix socket or None, host, port)."""
    parsed = parse_url(url)
    host = str(parsed.query.get("host") or parsed.host or "localhost")
    port = parsed.port or 5432
    return (f"{host}/.s.PGSQL.{port}" if host.startswith("/") else None), host, port
