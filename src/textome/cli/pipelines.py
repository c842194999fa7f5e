"""The options by which every verb that annotates chooses its pipeline.

`with_pipeline` puts them where a verb has its parameter `pipeline`: models, a pipeline file, steps to add or leave out, and
the options that steps declare in their table (`Row.options`). No verb names a step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from textome.cli.streams import split_list
from textome.steps import STEPS

if TYPE_CHECKING:
    from textome.pipeline import PipelineChoice

_OPTIONS: dict[str, tuple[Any, object]] = {
    "model": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--model",
                "-m",
                help="A bundle's folder or hub name; default: the bundled model. Given several times, each runs in turn.",
            ),
        ],
        None,
    ),
    "file": (
        Annotated[
            Path | None, typer.Option("--pipeline", metavar="FILE", help="A pipeline file (TOML): models and steps.")
        ],
        None,
    ),
    "add": (
        Annotated[
            list[str] | None, typer.Option("--with", metavar="STEP", help="Add a step; textome info lists them.")
        ],
        None,
    ),
    "leave_out": (
        Annotated[list[str] | None, typer.Option("--without", metavar="STEP", help="Leave out a default step.")],
        None,
    ),
    "set_": (
        Annotated[
            list[str] | None,
            typer.Option("--set", metavar="STEP.KEY=VALUE", help="A setting of a step, or of model."),
        ],
        None,
    ),
    "question": (
        Annotated[
            str | None,
            typer.Option("--question", "-q", help="What tasks that read two texts ask of each."),
        ],
        None,
    ),
    "types": (
        Annotated[str | None, typer.Option(help="Entity types to look for, as A,B; default: the model's own.")],
        None,
    ),
    "min_confidence": (
        Annotated[
            float | None,
            typer.Option(help="Leave out what is below this probability; default: what the model says for each type."),
        ],
        None,
    ),
    "flat": (Annotated[bool, typer.Option("--flat", help="Of entities that overlap, keep the most probable.")], False),
    "precision": (Annotated[str | None, typer.Option(help="int8, bf16 or fp32, where the bundle has several.")], None),
    "device": (Annotated[str | None, typer.Option(help="cpu, or cuda; textome doctor tells what there is.")], None),
}


def step_options() -> dict[str, tuple[str, str]]:
    """The options that steps declare: by name, the step and its setting."""
    return {option: (step, key) for step, row in STEPS.items() for option, key in row.options.items()}


def step_flags() -> dict[str, tuple[str, str]]:
    """The options without a value that steps declare: by name, the step and the setting that they switch on."""
    return {flag: (step, key) for step, row in STEPS.items() for flag, key in row.flags.items()}


def with_pipeline(verb: Callable[..., None], but: Collection[str] = ()) -> Callable[..., None]:
    """The verb with the options of a pipeline in place of its parameter `pipeline`, which takes what they choose.

    but   names of `_OPTIONS` that the verb does not have
    """
    hints = get_type_hints(verb, include_extras=True, localns={"PipelineChoice": object})
    options = {name: option for name, option in _OPTIONS.items() if name not in but}
    for option, (step, key) in step_options().items():
        text = f"Setting {key} of the step {step}; may be given several times where it is a list."
        options[option.replace("-", "_")] = (
            Annotated[list[str] | None, typer.Option(f"--{option}", help=text, rich_help_panel="Steps")],
            None,
        )
    for flag, (step, key) in step_flags().items():
        text = f"Switch on {key} of the step {step}."
        options[flag.replace("-", "_")] = (
            Annotated[bool, typer.Option(f"--{flag}", help=text, rich_help_panel="Steps")],
            False,
        )
    parameters = []
    for name, parameter in signature(verb).parameters.items():
        if name != "pipeline":
            parameters.append(parameter.replace(annotation=hints[name]))
            continue
        parameters += [
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (kind, default) in options.items()
        ]

    @wraps(verb)
    def wrapper(**values: Any) -> None:
        verb(pipeline=chosen({name: values.pop(name) for name in options}), **values)

    ordered = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters]
    wrapper.__signature__ = signature(wrapper).replace(parameters=ordered)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    del wrapper.__wrapped__
    return wrapper


def chosen(values: Mapping[str, Any]) -> PipelineChoice:
    """The pipeline that the options choose. Raises InputError for options that contradict each other."""
    from textome.pipeline import MODEL, choose_pipeline, setting
    from textome.steps import step_class

    settings: dict[str, dict[str, object]] = {}
    own = {"types": split_list(values.get("types"))} | {
        key: values.get(key) for key in ("min_confidence", "precision", "question", "device")
    }
    own |= {"flat": values.get("flat") or None}
    if model_settings := {key: value for key, value in own.items() if value is not None}:
        settings[MODEL] = model_settings
    for option, (step, key) in step_options().items():
        if several := values.get(option.replace("-", "_")):
            schema = step_class(step).model_json_schema()["properties"].get(key, {})
            is_list = any(item.get("type") == "array" for item in (schema, *schema.get("anyOf", ())))
            settings.setdefault(step, {})[key] = several if is_list else several[-1]
    for flag, (step, key) in step_flags().items():
        if values.get(flag.replace("-", "_")):
            settings.setdefault(step, {})[key] = True
    for text in values["set_"] or ():
        step, key, value = setting(text)
        settings.setdefault(step, {})[key] = value
    return choose_pipeline(
        values["file"],
        values["model"] or (),
        add=values["add"] or (),
        leave_out=values["leave_out"] or (),
        settings=settings,
    )
