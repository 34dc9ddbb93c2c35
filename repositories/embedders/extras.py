"""A library that is there only where its extra was installed."""

from importlib import import_module
from types import ModuleType

from database.errors import ConfigurationError


def library(name: str, extra: str) -> ModuleType:
    """The imported library; raises ConfigurationError naming the extra that brings it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ConfigurationError(f"{name} is not installed; install persona-store[{extra}]") from None
