"""Integrity for AI checkpoints: hash, sign and verify, on any machine.

The names below are loaded when they are first used, so that importing a format or a policy from
this package does not load keys, engines and their libraries.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weightlock.api import hash_checkpoint, read_manifest, sign, verify
    from weightlock.errors import WeightlockError
    from weightlock.reasons import Reason, Verdict

    __version__: str

__all__ = [
    "Reason",
    "Verdict",
    "WeightlockError",
    "hash_checkpoint",
    "read_manifest",
    "sign",
    "verify",
]

_HOME = {
    "Reason": "weightlock.reasons",
    "Verdict": "weightlock.reasons",
    "WeightlockError": "weightlock.errors",
}


def __getattr__(name: str) -> object:
    if name == "__version__":  # said once, in pyproject.toml
        return importlib.import_module("importlib.metadata").version("weightlock")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME.get(name, "weightlock.api")), name)
