"""Errors that copyfold raises on purpose.

Each message names the value, the rule it broke and the way out; the command line prints it as one line and
exits with ``exit_code``.
"""


class CopyfoldError(Exception):
    """Base of every error that a user can mend; never raised for a bug in copyfold itself."""

    exit_code = 2

    def __str__(self) -> str:
        """The message on one line, whatever a file's content or another library's message brought into it."""
        return " ".join(part.strip() for part in super().__str__().splitlines())


class ConfigError(CopyfoldError):
    """A configuration key is unknown, missing, of the wrong type or impossible.

    Attributes
    ----------
    problems : tuple of str
        Everything that is wrong; the message tells the first and how many more there are.
    """

    def __init__(self, *problems: str) -> None:
        more = f" (and {len(problems) - 1} more; `copyfold config check` lists them)" if len(problems) > 1 else ""
        super().__init__(problems[0] + more)
        self.problems = problems


class InputError(CopyfoldError):
    """An input file or array is missing, damaged, inconsistent or of a kind that is not accepted."""


class RunError(CopyfoldError):
    """A run folder cannot be used: locked, held by another run, unwritable, or not far enough along."""


class PluginError(CopyfoldError):
    """A module name does not resolve, or what it names does not fulfil its contract."""
