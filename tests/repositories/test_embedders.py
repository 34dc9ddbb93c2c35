"""The adapters: what they ask of a library, what they make of its answer, and what they say where it is missing."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest
from numpy.typing import NDArray

from database.errors import ConfigurationError, InvalidInputError
from repositories import Embedder
from repositories.embedders import OpenAIEmbedder, SentenceTransformerEmbedder

KEY = "sk-geheim"


class Endpoint:
    """Speaks as OpenAI does, over HTTP: the vector of a text is its length. The rows come in reverse."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []
        self.keys: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, value in fields.items()}
        asked = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.asked.append({"path": head.split()[1], **asked})
        self.keys.append(headers["authorization"])
        rows = [
            {"object": "embedding", "index": place, "embedding": [len(text), 1.0]}
            for place, text in enumerate(asked["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        answer = {"object": "list", "model": asked["model"], "data": rows[::-1], "usage": usage}
        body = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
        writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    served = Endpoint()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    async with server:
        served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield served


async def test_an_openai_endpoint(endpoint: Endpoint) -> None:
    embedder: Embedder = OpenAIEmbedder("small", dimensions=2, base_url=endpoint.url, api_key=KEY, batch_size=2)
    texts = ["a", "bb", "ccc", "dddd", "eeeee"]
    assert await embedder.embed(texts) == [[float(length), 1.0] for length in range(1, 6)]
    assert [asked["input"] for asked in endpoint.asked] == [texts[:2], texts[2:4], texts[4:]]
    assert {asked["path"] for asked in endpoint.asked} == {"/v1/embeddings"}
    assert {asked["model"] for asked in endpoint.asked} == {"small"}
    assert not any("dimensions" in asked for asked in endpoint.asked), "many endpoints refuse it"
    assert set(endpoint.keys) == {f"Bearer {KEY}"}
    assert (embedder.name, embedder.dimensions) == ("small", 2)


async def test_a_shortened_vector_is_asked_for(endpoint: Endpoint) -> None:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=endpoint.url, api_key=KEY) as client:
        embedder = OpenAIEmbedder("large", dimensions=2, client=client, name="large-2", shorten=True)
        await embedder.embed(["a"])
    assert [asked["dimensions"] for asked in endpoint.asked] == [2]
    assert embedder.name == "large-2"


def test_no_repr_holds_a_secret() -> None:
    embedder = OpenAIEmbedder("small", dimensions=2, base_url=f"http://ada:{KEY}@127.0.0.1/v1", api_key=KEY)
    assert repr(embedder) == "OpenAIEmbedder(name='small', dimensions=2)"


def test_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        OpenAIEmbedder("small", dimensions=2)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("openai", "sentence_transformers"):
        monkeypatch.setitem(sys.modules, library, None)  # an import of it finds nothing
    with pytest.raises(ConfigurationError, match=r"persona-store\[openai\]"):
        OpenAIEmbedder("small", dimensions=2, api_key=KEY)
    with pytest.raises(ConfigurationError, match=r"persona-store\[sentence-transformers\]"):
        SentenceTransformerEmbedder("small")


class Model:
    """What a SentenceTransformer has, as far as it is used."""

    def __init__(self, dimensions: int | None = 2) -> None:
        self.threads: set[int] = set()
        self._dimensions = dimensions

    def encode(self, sentences: list[str]) -> NDArray[np.float32]:
        self.threads.add(threading.get_ident())
        return np.array([[len(text), 1.0] for text in sentences], dtype=np.float32)

    def get_sentence_embedding_dimension(self) -> int | None:
        return self._dimensions


async def test_a_sentence_transformer_works_beside_the_loop() -> None:
    model = Model()
    embedder: Embedder = SentenceTransformerEmbedder(model, name="mini")
    rows = await embedder.embed(("a", "bb"))
    assert np.asarray(rows).tolist() == [[1.0, 1.0], [2.0, 1.0]]
    assert threading.get_ident() not in model.threads
    assert (embedder.name, embedder.dimensions) == ("mini", 2)
    assert repr(embedder) == "SentenceTransformerEmbedder(name='mini', dimensions=2)"


def test_a_sentence_transformer_is_loaded_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    library = type(sys)("sentence_transformers")
    library.SentenceTransformer = lambda name: Model(len(name))  # type: ignore[attr-defined]  # a module of the test's
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    embedder = SentenceTransformerEmbedder("mini")
    assert (embedder.name, embedder.dimensions) == ("mini", 4)
    assert SentenceTransformerEmbedder("mini", name="mini-2").name == "mini-2"


def test_a_model_must_have_a_name_and_a_width() -> None:
    with pytest.raises(InvalidInputError) as refused:
        SentenceTransformerEmbedder(Model())
    assert refused.value.field == "name"
    with pytest.raises(ConfigurationError, match="dimensions"):
        SentenceTransformerEmbedder(Model(None), name="mini")
