"""Adapters to the libraries that embed: optional extras, imported only when an adapter is made."""

from repositories.embedders.openai import OpenAIEmbedder
from repositories.embedders.sentence_transformers import SentenceTransformerEmbedder

__all__ = ["OpenAIEmbedder", "SentenceTransformerEmbedder"]
