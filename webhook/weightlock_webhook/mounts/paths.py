"""Reading the spellings of a path into its one normal form, to compare it by component.

A string prefix would let `/good` cover `/good-evil` (A01), and two spellings of one path would get
two verdicts (A13). Policies and checkpoints must spell their paths normally; pods spell as they
like, and the kubelet cleans up after them.
"""

from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock_webhook.wording import quoted

ROOT: Final = VolumePath()


def path_of(text: str) -> VolumePath:
    """The place that a spelling names: `a//b`, `./a/b` and `/a/b/` are all `/a/b`.

    path_of(str(p)) == p for every path.

    Raises:
        Malformed: for `..`, whose meaning depends on symlinks that nobody has looked at, and for
            NUL, which ends the string for the kernel.
    """
    if "\0" in text:
        raise Malformed(f"the path {quoted(text)} holds a NUL character")
    components = tuple(part for part in text.split("/") if part not in ("", "."))
    if ".." in components:
        raise Malformed(f'the path {quoted(text)} holds ".."')
    return VolumePath(components)


def places_holding(path: VolumePath) -> tuple[VolumePath, ...]:
    """Every place that covers the path, the root first and the path itself last."""
    return tuple(VolumePath(path.components[:end]) for end in range(len(path.components) + 1))
