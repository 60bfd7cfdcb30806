"""Files with policies, checkpoints and other objects, for `--policy FILE` and `policy test`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from weightlock.errors import PolicyInvalid, WeightlockError
from weightlock.formats.strict_yaml import load_documents
from weightlock.names import API_GROUP
from weightlock.policy import checkpoints, scalars
from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.objects import Policy, PolicyKind

DEFAULT_NAMESPACE: Final = "default"
"""Where kubectl puts what names no namespace."""


@dataclass(frozen=True, slots=True)
class Documents:
    """What a file holds; `others` are objects of other groups, such as pods, as they were read."""

    policies: tuple[Policy, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    others: tuple[Mapping[str, object], ...] = ()

    def joined(self, other: "Documents") -> "Documents":
        """What two files hold together."""
        return Documents(
            self.policies + other.policies,
            self.checkpoints + other.checkpoints,
            self.others + other.others,
        )


def read_documents(text: str | bytes, default_namespace: str = DEFAULT_NAMESPACE) -> Documents:
    """Everything in a YAML or JSON text; lists of objects are opened.

    Raises:
        PolicyInvalid: for a policy that cannot be decided upon, naming document and field.
        Malformed: for a text or a checkpoint that is not what it should be.
        LimitExceeded: for a text that is too long.
    """
    found = Documents()
    for number, value in enumerate(_opened(load_documents(text)), start=1):
        try:
            found = found.joined(_document(value, default_namespace))
        except WeightlockError as error:
            raise type(error)(f"document {number}: {error.message}", hint=error.hint) from error
    return found


def read_policies(
    text: str | bytes, default_namespace: str = DEFAULT_NAMESPACE
) -> tuple[Policy, ...]:
    """The policies of a text that holds at least one, and nothing else.

    Raises:
        PolicyInvalid: also for no policy, or for anything beside them.
        Malformed: for a text that is not YAML or JSON.
        LimitExceeded: for a text that is too long.
    """
    found = read_documents(text, default_namespace)
    if not found.policies or found.checkpoints or found.others:
        raise PolicyInvalid(
            f"found {len(found.policies)} policies and"
            f" {len(found.checkpoints) + len(found.others)} other objects,"
            f" expected only objects of kind {' or '.join(PolicyKind)}, at least one"
        )
    return found.policies


def _opened(values: list[object]) -> list[object]:
    opened: list[object] = []
    for value in values:
        if isinstance(value, dict) and value.get("kind") == "List":
            items = value.get("items")
            opened += items if isinstance(items, list) else [None]
        else:
            opened.append(value)
    return opened


def _document(value: object, default_namespace: str) -> Documents:
    if not isinstance(value, dict):
        raise PolicyInvalid(f"found {scalars.shown(value)}, expected an object with a kind")
    kind, version = value.get("kind"), value.get("apiVersion")
    if kind in tuple(PolicyKind):
        return Documents(policies=(Policy.from_object(value, default_namespace),))
    if kind == checkpoints.KIND:
        return Documents(checkpoints=(Checkpoint.from_object(value, default_namespace),))
    if not isinstance(kind, str) or not isinstance(version, str):
        raise PolicyInvalid("expected apiVersion and kind")
    if version.partition("/")[0] == API_GROUP:
        raise PolicyInvalid(f"found the unknown kind {scalars.shown(kind)}")
    return Documents(others=(value,))
