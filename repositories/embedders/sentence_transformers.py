"""Vectors from a model in this process, by the library sentence-transformers."""

import asyncio
from collections.abc import Sequence
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from database.errors import ConfigurationError, InvalidInputError
from repositories.embedders.extras import library


class Model(Protocol):
    """What is asked of a SentenceTransformer."""

    def encode(self, sentences: list[str], /) -> NDArray[np.float32]: ...

    def get_sentence_embedding_dimension(self) -> int | None: ...


class SentenceTransformerEmbedder:
    """The name of a model, which is loaded here and now, or a loaded model with a `name` for its space."""

    def __init__(self, model: str | Model, *, name: str | None = None) -> None:
        if isinstance(model, str):
            name = name or model
            model = loaded(model)
        if name is None:
            raise InvalidInputError("name", "is needed for a model that is given loaded")
        dimensions = model.get_sentence_embedding_dimension()
        if dimensions is None:
            raise ConfigurationError("the model does not tell its dimensions")
        self._model = model
        self._alone = Lock()
        self.name = name
        self.dimensions = dimensions

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """In a thread beside the event loop, one call at a time: a tokenizer cannot be shared by two."""
        return await asyncio.to_thread(self._encode, list(texts))

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        with self._alone:
            return self._model.encode(texts)

    def __repr__(self) -> str:
        return f"SentenceTransformerEmbedder(name={self.name!r}, dimensions={self.dimensions})"


def loaded(name: str) -> Model:
    """From the library's cache, or downloaded the first time."""
    model: Model = library("sentence_transformers", "sentence-transformers").SentenceTransformer(name)
    return model
