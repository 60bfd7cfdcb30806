"""The versions that are remembered against rollback, and under which policies they count (A22).

A version counts under the policy by which it was verified and under no other, or whoever signs for
a lax policy could take a model from those who never trusted them. Under one policy all its keys
raise the same floor, so an old version does not get past it by another signature. The operator
writes what is remembered into one ConfigMap; the webhook reads it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from weightlock.policy.bounds import MAX_VERSION

_FIELDS: Final = frozenset({"model", "policy", "version"})


class VouchedModel(NamedTuple):
    """A model under a policy, which is named as messages name it (weightlock.policy.objects).

    By name, not by uid: a policy that is made anew under its name finds what was remembered.
    """

    policy: str
    model: str

    @property
    def namespace(self) -> str:
        """The namespace whose own policy it is; "" for a cluster's."""
        where, mark, _ = self.policy.rpartition("/")
        return where.rpartition(" ")[2] if mark else ""


Floors: TypeAlias = Mapping[VouchedModel, int]


def highest_seen(floors: Floors, policies: Iterable[str], model: str) -> int:
    """The version of a model below which it is refused under any of these policies; 0 for none."""
    return max((floors.get(VouchedModel(policy, model), 0) for policy in policies), default=0)


def entry_of(vouched: VouchedModel, version: int) -> tuple[str, str]:
    """Key and value in the ConfigMap. Law: read_entry(*entry_of(v, n)) == (v, n)."""
    document = {"model": vouched.model, "policy": vouched.policy, "version": version}
    return _key(vouched), json.dumps(document, sort_keys=True)


def read_entry(key: str, text: str) -> tuple[VouchedModel, int] | None:
    """What an entry says; None if it is damaged, or lies under another's key."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.keys() != _FIELDS:
        return None
    model, policy, version = found["model"], found["policy"], found["version"]
    if not isinstance(model, str) or not isinstance(policy, str) or type(version) is not int:
        return None
    vouched = VouchedModel(policy, model)
    is_whole = 0 < version <= MAX_VERSION and _key(vouched) == key
    return (vouched, version) if is_whole else None


def _key(vouched: VouchedModel) -> str:
    """Names have characters that keys may not have, and are longer than keys may be."""
    return hashlib.sha256(json.dumps(vouched).encode()).hexdigest()
