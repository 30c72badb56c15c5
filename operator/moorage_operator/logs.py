"""Structured logs: one formatter for kopf, the standard library and us."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog
from structlog.typing import Processor

_WARNINGS = frozenset(
    {
        "reflector.failed",
        "reflector.undecodable",
        "lease.lost",
        "lease.failed",
        "pool.held",
        "pod.unreadable",
        "node.unreadable",
        "kopf.ended",
        "runner.drain_timeout",
    }
)


class LogReporter:
    """A ``Reporter`` that writes one line per event."""

    def __init__(self) -> None:
        self._log: Any = structlog.get_logger("moorage.operator")

    def report(self, event: str, /, **facts: object) -> None:
        """Log an event; what needs a person's attention as a warning."""
        write = self._log.warning if event in _WARNINGS else self._log.info
        write(event, **facts)


def set_up_logging(level: str, form: Literal["json", "console"]) -> None:
    """Send every log line of the process to stderr in one form."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            last,
        ],
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("kopf.objects").setLevel("WARNING")  # a line per event says nothing new
