"""The `--embedder` of the commands: which model it means, and how wide its vectors are."""

from collections.abc import Sequence

import typer

from database.errors import StoreError
from repositories import Embedder
from repositories.embedder import Vectors
from repositories.embedders import OpenAIEmbedder, SentenceTransformerEmbedder
from scripts.embedder import HashedEmbedder

DEMO, OPENAI, SENTENCE_TRANSFORMERS = "demo", "openai", "sentence-transformers"
CHOICES = f"{DEMO}|{OPENAI}:MODEL|{SENTENCE_TRANSFORMERS}:MODEL"


class EmbedderFailedError(StoreError):
    """The model or its endpoint did not answer. Only the kind is told: the words may hold texts or a key."""


class Told:
    """An embedder whose errors end a command with a sentence."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name = embedder.name
        self.dimensions = embedder.dimensions

    async def embed(self, texts: Sequence[str]) -> Vectors:
        try:
            return await self._embedder.embed(texts)
        except StoreError:
            raise
        except Exception as error:
            status = getattr(error, "status_code", None)
            raise EmbedderFailedError(f"{type(error).__name__}{f' {status}' if status else ''}") from error


def embedder_named(choice: str, dimensions: int | None) -> Embedder:
    """`dimensions` are those that its space has or is to have, where that is known."""
    kind, _, model = choice.partition(":")
    if kind == DEMO and not model:
        return Told(HashedEmbedder() if dimensions is None else HashedEmbedder(dimensions))
    if kind == OPENAI and model:
        if dimensions is None:
            raise typer.BadParameter("say how wide the model's vectors are", param_hint="--dimensions")
        return Told(OpenAIEmbedder(model, dimensions=dimensions))
    if kind == SENTENCE_TRANSFORMERS and model:
        return Told(SentenceTransformerEmbedder(model))
    raise typer.BadParameter(f"must be {CHOICES}", param_hint="--embedder")
