"""Options of a verb that may also stand in environment variables, as services are configured in containers."""

from __future__ import annotations

import os
from typing import Any

from typer.core import TyperCommand, TyperOption

from textome.cli.streams import say


class EnvironmentCommand(TyperCommand):
    """A verb whose options have environment variables: `--max-body` of `serve` is TEXTOME_SERVE_MAX_BODY.

    The command line goes before the environment. Several values of one option are separated by spaces. A variable that
    belongs to no option is reported, and ignored.
    """

    def __init__(self, name: str | None, **options: Any) -> None:
        super().__init__(name, **options)
        self._prefix = f"TEXTOME_{(name or '').upper()}_"
        for option in self.params:
            if isinstance(option, TyperOption) and option.name != "add_key":
                option.envvar = self._prefix + max(option.opts, key=len).lstrip("-").replace("-", "_").upper()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {option.envvar for option in self.params}
        for variable in sorted(os.environ):
            if variable.startswith(self._prefix) and variable not in known:
                say(f"{variable} belongs to no option of textome {self.name}; it is ignored")
        return super().parse_args(ctx, args)
