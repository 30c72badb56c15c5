"""How the doors read their settings: from flags and environment, nothing misspelt passes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TypeVar

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsError

from moorage_policies.errors import BadInputError

Settings = TypeVar("Settings", bound=BaseSettings)


def load_settings(
    model: type[Settings],
    *,
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Return the settings of a door.

    Args:
        model: the settings; its ``env_prefix`` names the environment variables.
        arguments: flags; ``None`` takes those of the process.
        environment: looked through for misspelt variables of the model's prefix.

    Raises:
        BadInputError: a setting is unknown or cannot be used; the message has a line per problem.
    """
    refuse_unknown_variables(model, environment)
    try:
        return CliApp.run(model, cli_args=list(arguments) if arguments is not None else None)
    except ValidationError as error:
        raise BadInputError("\n".join(_lines(error))) from error
    except (SettingsError, yaml.YAMLError, OSError, TypeError) as error:
        raise BadInputError(f"the settings cannot be read: {error}") from error


def refuse_unknown_variables(
    model: type[BaseSettings], environment: Mapping[str, str] = os.environ
) -> None:
    """Raise ``BadInputError`` when a variable has the model's prefix but names no setting."""
    prefix = str(model.model_config.get("env_prefix", ""))
    known = {f"{prefix}{name}".upper() for name in model.model_fields}
    for name in sorted(environment):
        if name.upper().startswith(prefix.upper()) and name.upper() not in known:
            fields = ", ".join(sorted(known))
            raise BadInputError(f"is no setting; there are {fields}", field=name)


def _lines(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}"
        for problem in error.errors()
    ]
