"""A database with something in every place that the deep checks compare, and the doing of damage to it."""

import sqlite3
from contextlib import closing

from database import Database
from database.url import parse_url
from repositories import UnitOfWork

SECRET = "the cello in the attic"
"""Stands in every text."""

VECTOR = [0.6, 0.8, 0.0]


async def fill(database: Database) -> None:
    """Three conversations, one of them empty; messages with a gap where one was deleted, vectors, runs, states."""
    async with UnitOfWork(database) as uow:
        space = await uow.embedding_spaces.create(name="mini", dimensions=3)
        await uow.embedding_spaces.activate(space.id)
        await uow.embeddings.create(source_type="note", source_id="1", content=SECRET, vector=VECTOR)
        persona = await uow.personas.create(name="Sol", template=SECRET)
        await uow.conversations.create(title="empty", persona_id=persona.id)
        for title in ("one", "two"):
            talk = await uow.conversations.create(title=title, persona_id=persona.id)
            rows = [
                {"role": "user", "content": f"{SECRET} {number}", "input_tokens": number, "vector": VECTOR}
                for number in range(4)
            ]
            said = await uow.messages.append_many(talk.id, rows)
            await uow.messages.delete(said[1].id)
            await uow.states.set(talk.id, "city", "Oslo")
            await uow.memories.remember(SECRET, conversation_id=talk.id, vector=VECTOR)
            run = await uow.runs.save(actor="agent", conversation_id=talk.id)
            await uow.steps.create_many([{"run_id": run.id, "name": name} for name in ("first", "second")])


async def damage(url: str, *statements: str) -> None:
    """Do what no application can: behind the back of foreign keys, rules and triggers."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(str(parse_url(url).database))) as file, file:
            file.execute("PRAGMA foreign_keys=OFF")
            file.execute("PRAGMA ignore_check_constraints=ON")
            for statement in statements:
                file.execute(statement)
        return
    async with Database(url) as database, database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in statements:
            await connection.exec_driver_sql(statement)
