"""The ``moorage-extender`` program."""

from __future__ import annotations

import sys

import uvloop

from moorage_cluster.settings import load_settings
from moorage_extender.config import Settings
from moorage_extender.logs import configure_logs
from moorage_extender.process import serve
from moorage_policies.errors import BadInputError, MoorageError

BAD_INPUT_EXIT_CODE = 2
FAILURE_EXIT_CODE = 1


def run() -> None:
    """Run until SIGTERM or SIGINT; settings that cannot be used end it with status 2."""
    try:
        settings = load_settings(Settings)
        configure_logs(settings.log_level)
        uvloop.run(serve(settings))
    except MoorageError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"moorage-extender: {line}\n")
        sys.exit(BAD_INPUT_EXIT_CODE if isinstance(error, BadInputError) else FAILURE_EXIT_CODE)
