"""How processes log: one line an event, a constant name and fields; to stderr."""

import logging
import sys

import structlog


def configure_logs(log_format: str) -> None:
    """Log as `json` (one object a line) or for people (`console`). Call it once, at the entry point.

    Fields hold ids, counts and codes. Nothing that came from a message's text or a payload is ever a field.
    """
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
