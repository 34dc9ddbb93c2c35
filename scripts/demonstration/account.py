"""The demo's account: one page that somebody new to the project understands in a minute."""

import json

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from scripts.demonstration.story import Deletion, Story
from scripts.tables import number, table

LONGEST = 160
"""Characters of a message that are shown."""


def account_of(story: Story, place: str, file: str | None) -> Group:
    """`place` says where the database is."""
    parts: list[RenderableType] = [
        Text("persona-store: the memory of chat personas, shown on " + ("your file" if file else "a sample"), "bold"),
        f"[dim]{escape(story.version or '')}, {escape(place)}[/]",
        "",
        _heading(1, "The schema", "was made" if story.migrated else "was there", f"(revision {story.revision})"),
        _heading(2, "Personas", "with the modules that run at the stages of a reply"),
        _personas(story),
        *_talks(story, file),
        _heading(4, "History", f"the newest of “{escape(story.title)}”"),
        _history(story),
        *_state(story),
        _heading(6, "Recall", "by vector; a score of 1 is the same direction"),
        _note(f"Vectors of {story.dimensions} numbers by {story.embedder}, an embedder for demos:"),
        _note("it finds shared words and not meanings. An application brings a real model."),
        _answers(story),
        *_run(story),
        *_deletion(story.deletion),
        Text(f"All of this took {story.seconds:.1f} s. Run it again: ids stay, and nothing is stored twice.", "bold"),
    ]
    return Group(*parts)


def _heading(place: int, title: str, *words: str) -> str:
    return f"[bold cyan]{place}  {title}[/]  {' '.join(words)}"


def _note(words: str) -> Text:
    return Text(f"   {words}", "dim")


def _indented(lines: Table) -> Padding:
    return Padding(lines, (0, 0, 0, 3))


def _personas(story: Story) -> RenderableType:
    lines = table("persona", "what for", number("modules"), "")
    for persona in story.seeded.personas:
        known = "new" if persona.new else "was there"
        lines.add_row(escape(persona.name), escape(persona.description), str(len(persona.modules)), known)
    return _indented(lines)


def _talks(story: Story, file: str | None) -> list[RenderableType]:
    talks = story.talks
    source = escape(file) if file else "the sample"
    words = f"{talks.conversations} from {source}: {talks.messages} messages, {talks.memories} memories"
    lines = table("title", "persona", number("messages"), number("episodes"), number("memories"), "")
    for talk in talks.first:
        counts = (str(talk.messages), str(talk.episodes), str(talk.memories))
        known = "was there" if talk.change == "unchanged" else str(talk.change)
        lines.add_row(escape(talk.title), escape(talk.persona or "-"), *counts, known)
    more = talks.conversations - len(talks.first)
    parts: list[RenderableType] = [_heading(3, "Conversations", words), _indented(lines)]
    return [*parts, _note(f"and {more} more"), ""] if more else parts


def _history(story: Story) -> RenderableType:
    lines = table(number("place"), Column("who", no_wrap=True), "said")
    for line in story.history:
        lines.add_row(str(line.position), escape(line.speaker), escape(_short(line.content)))
    return _indented(lines)


def _state(story: Story) -> list[RenderableType]:
    state = story.state
    outcome = "was refused" if state.refused else "WAS NOT REFUSED"
    return [
        _heading(5, "State", f"{state.key} = {escape(json.dumps(state.value))}, now version {state.versions[1]}"),
        f"   A writer that still held version {state.versions[0]} {outcome}: no write is lost unseen.",
        "",
    ]


def _answers(story: Story) -> RenderableType:
    """One table, each question above what it found."""
    lines = table(number("score"), "memory", Column("when", no_wrap=True))
    for answer in story.answers:
        mode = "exact" if answer.exact else "by the index"
        lines.add_row("", f"[bold]{escape(_short(answer.question))}[/] [dim]({answer.scope}, {mode})[/]", "")
        for hit in answer.hits:
            mark = "[green]<- the answer[/]" if hit.expected else ""
            when = hit.occurred_at.date().isoformat() if hit.occurred_at else ""
            content = f"{escape(_short(hit.content))} {mark}".rstrip()
            lines.add_row(f"{hit.score:.3f}", content, when)
        lines.add_section()
    return _indented(lines)


def _run(story: Story) -> list[RenderableType]:
    run = story.run
    lines = table(number("step"), "name", "kind", "status")
    for step in run.steps:
        lines.add_row(str(step.position), step.name, step.kind, step.status)
    stats = (
        f"{run.calls} calls ({run.errors} failed), {run.input_tokens} + {run.output_tokens} tokens, "
        f"{run.cost_usd.normalize():f} US dollars"
    )
    return [
        _heading(7, "Run", f"of the actor {run.actor}, {run.status}"),
        f"   {stats}",
        _note("No model was asked: tokens and prices are made up."),
        _indented(lines),
    ]


def _deletion(deletion: Deletion) -> list[RenderableType]:
    lines = table("table", number("rows before"), number("after"), number("gone"))
    for name, before in deletion.before.items():
        after = deletion.after[name]
        style = None if before != after else "dim"
        lines.add_row(name, str(before), str(after), str(before - after) if before != after else "", style=style)
    before, after = deletion.pointing
    run = "is kept, and names no conversation now" if deletion.run_kept else "IS LOST"
    return [
        _heading(8, "Deletion", f"of “{escape(deletion.title)}”, in one statement"),
        _indented(lines),
        f"   Rows that name the conversation: {before} before, [bold]{after}[/] now.",
        f"   Rows in any table that name a row which is not there: [bold]{deletion.orphans}[/].",
        f"   The run {run}: its cost stays its owner's.",
        "",
    ]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
