"""The ``moorage-extender`` program."""

from __future__ import annotations

import sys

import uvloop
from pydantic import ValidationError
from pydantic_settings import CliApp

from moorage_extender.config import Settings
from moorage_extender.logs import configure_logs
from moorage_extender.process import serve
from moorage_policies.errors import BadInputError, MoorageError

BAD_INPUT_EXIT_CODE = 2
FAILURE_EXIT_CODE = 1


def run() -> None:
    """Run until SIGTERM or SIGINT; settings that cannot be used end it with status 2."""
    try:
        settings = CliApp.run(Settings)
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(map(str, problem["loc"])) or "settings"
            sys.stderr.write(f"moorage-extender: {name}: {problem['msg']}\n")
        sys.exit(BAD_INPUT_EXIT_CODE)
    configure_logs(settings.log_level)
    try:
        uvloop.run(serve(settings))
    except MoorageError as error:
        sys.stderr.write(f"moorage-extender: {error}\n")
        sys.exit(BAD_INPUT_EXIT_CODE if isinstance(error, BadInputError) else FAILURE_EXIT_CODE)
