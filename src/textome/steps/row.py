"""A line of the table of steps; nothing heavy is imported, since the command line reads the table for `--help`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table of steps.

    module       in this folder
    name         of the class in it
    summary      one line for `--help` and `textome info`
    default      whether the default pipeline has it
    options      settings with an option of their own on the command line, by its name: {"vocabulary": "vocabularies"} gives
                 `--vocabulary VALUE`, which may be repeated where the setting is a list
    flags        the same for settings that an option without a value switches on
    adds_types   the types of the entities that it adds, as its class has them
    """

    module: str
    name: str
    summary: str
    default: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    adds_types: tuple[str, ...] = ()
