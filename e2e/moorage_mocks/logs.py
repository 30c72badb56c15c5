"""Log lines of the mocks: one JSON object per line on standard output."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(level: str) -> None:
    """Write lines of this level and above from now on."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )


class LogReporter:
    """Writes what the mocks report to the log."""

    def __init__(self) -> None:
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

    def report(self, event: str, /, **facts: object) -> None:
        """Write one event; failures are warnings."""
        bad = event.endswith(("failed", "unusable", "undecodable"))
        (self._log.warning if bad else self._log.info)(event, **facts)
