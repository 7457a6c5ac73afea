"""What to tell a user whose command was stopped: only what is true of that command."""

from __future__ import annotations

from collections.abc import Sequence

import typer

_GO_ON_BY_THEMSELVES = frozenset({"cohort", "cohort-step", "demo", "resume"})


def way_on(app: typer.Typer, arguments: Sequence[str]) -> str:
    """How the command that `arguments` name goes on after it was stopped."""
    command = typer.main.get_command(app)
    name = ""
    for argument in arguments:
        inner = getattr(command, "commands", {})
        if argument not in inner:
            continue
        name, command = argument, inner[argument]
    takes_resume = any(parameter.name == "resume" for parameter in command.params)
    if name == "call":  # a run's own calls are made again as a whole, those of other isolates continue
        takes_resume = any(argument.partition("=")[0] == "--store" for argument in arguments)
    if takes_resume:
        return "the same command with --resume goes on"
    if name in _GO_ON_BY_THEMSELVES:
        return "the same command goes on"
    return "nothing half-written is left, the same command starts again"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, numpy or torch (on a GPU or not) found no memory."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and ("can't allocate memory" in text or "not enough memory" in text))
    )
