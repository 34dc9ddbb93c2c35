"""What the commands log, as LOG_LEVEL and LOG_FORMAT say it: on standard error, a line for each."""

import json
import logging
from datetime import UTC, datetime

from database.settings import Settings

FORMAT = "%(levelname)s %(name)s %(message)s"


class JsonLines(logging.Formatter):
    """An object a line, for what collects them."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(settings: Settings) -> None:
    """Once, before the command: the library itself logs and leaves to the application where to."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if settings.log_format == "json" else logging.Formatter(FORMAT))
    logging.basicConfig(level=settings.log_level, handlers=[handler])
