"""Vectors from OpenAI, and from every endpoint that speaks as it does."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from database.errors import ConfigurationError
from repositories.embedders.extras import library

if TYPE_CHECKING:
    from openai import AsyncOpenAI


class OpenAIEmbedder:
    """`dimensions` is the width that the model gives, or with `shorten` the one that it is asked for.

    Without `client` one is made of `base_url` and `api_key`, or what OPENAI_BASE_URL and OPENAI_API_KEY say. More
    texts than `batch_size` go in several requests. `name` is the model's unless another one is given.
    """

    def __init__(
        self,
        model: str,
        *,
        dimensions: int,
        base_url: str | None = None,
        api_key: str | None = None,
        client: "AsyncOpenAI | None" = None,
        name: str | None = None,
        shorten: bool = False,
        batch_size: int = 256,
    ) -> None:
        openai = library("openai", "openai")
        try:
            self._client: AsyncOpenAI = client or openai.AsyncOpenAI(base_url=base_url, api_key=api_key)
        except openai.OpenAIError:
            raise ConfigurationError("an OpenAIEmbedder needs api_key, or OPENAI_API_KEY in the environment") from None
        self._asked = dimensions if shorten else openai.omit
        self._model = model
        self._batch_size = batch_size
        self.name = name or model
        self.dimensions = dimensions

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """In their order, whatever order the endpoint answers in."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), self._batch_size):
            answer = await self._client.embeddings.create(
                model=self._model,
                input=list(texts[start : start + self._batch_size]),
                dimensions=self._asked,
                # Not every endpoint knows the library's own choice.
                encoding_format="float",
            )
            vectors += [row.embedding for row in sorted(answer.data, key=lambda row: row.index)]
        return vectors

    def __repr__(self) -> str:
        return f"OpenAIEmbedder(name={self.name!r}, dimensions={self.dimensions})"
