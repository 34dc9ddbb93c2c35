"""How the commands draw a table."""

from rich import box
from rich.table import Column, Table


def table(*columns: str | Column, title: str | None = None) -> Table:
    """A light one, whose lines stay apart in a log too."""
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def number(header: str) -> Column:
    return Column(header, justify="right", no_wrap=True)
