"""Whether the index of words says what the tables say, and its making anew, on either database."""

from repositories.search import postgres_text_index, sqlite_text_index
from repositories.search.text_index_contract import Disagreement, TextIndex

__all__ = ["Disagreement", "TextIndex", "text_index_of"]


def text_index_of(dialect_name: str) -> TextIndex:
    return postgres_text_index if dialect_name == "postgresql" else sqlite_text_index
