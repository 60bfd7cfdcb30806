"""How names that users chose appear in a sentence: escaped and capped (A34, B30, D03).

A denial is shown in terminals, events and logs. A name must not be able to end the line, colour
the screen or pretend to be another part of the sentence.
"""

from typing import Final

LONGEST_NAME: Final = 80
"""Characters of a name that a sentence shows; Kubernetes' own names end at 253."""

LONGEST_MESSAGE: Final = 300
"""Characters of somebody else's sentence inside ours."""


def quoted(name: str, *, longest: int = LONGEST_NAME) -> str:
    r"""The name in double quotes, printable ASCII only: `"` `\` and the rest as escapes."""
    shown = name if len(name) <= longest else f"{name[: longest - 3]}..."
    escaped = shown.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'


def listed(names: tuple[str, ...], *, most: int = 4) -> str:
    """The first few names, quoted, and how many more there are."""
    shown = ", ".join(quoted(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
