"""The mark in the ConfigMap weightlock-state that says: do not put the configurations back. Pure.

An uninstall must be able to remove them for good, since with `failurePolicy: Fail` and no webhook
left no pod would start. The mark names the configurations that it was set for, so that it means
nothing to those of a later installation.
"""

from collections.abc import Iterable, Mapping
from typing import Final

DISARMED_KEY: Final = "disarmed"
UIDS_KEY: Final = "disarmedConfigurations"
_TRUE: Final = "true"


def mark(uids: Iterable[str]) -> dict[str, str]:
    """The data that disarms these."""
    return {DISARMED_KEY: _TRUE, UIDS_KEY: ",".join(sorted(uid for uid in uids if uid))}


def is_disarmed(data: Mapping[str, str], live_uids: Iterable[str]) -> bool:
    """Whether nothing may be put back: marked, and nothing there that the mark does not know."""
    if data.get(DISARMED_KEY) != _TRUE:
        return False
    known = set(data.get(UIDS_KEY, "").split(","))
    return all(uid in known for uid in live_uids)
