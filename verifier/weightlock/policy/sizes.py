"""How long lists of policies and checkpoints may be: the schemas in `crds/` say the same.

A test fails when the two drift. Lists of which CEL compares every pair end at 32, so that the
server's estimate of the rules' cost stays under its limit; beyond a list's end the API server
refuses, and where it does not look, this does.
"""

from typing import Final

MOST_AUTHORITIES: Final = 32
MOST_SIGNATURE_RULES: Final = 32
MOST_VOLUME_RULES: Final = 64
MOST_FLOORS: Final = 256
MOST_DENIED: Final = 1024
MOST_PATTERNS: Final = 64
"""Of names, paths, servers and the like in one condition."""

MOST_TOLERATIONS: Final = 32
MOST_LABELS: Final = 32
MOST_EXPRESSIONS: Final = 32
MOST_VALUES: Final = 64
"""Of one expression of a selector."""

MOST_ATTRIBUTES: Final = 64
LONGEST_ATTRIBUTE: Final = 1024
"""Of an inline CSI volume: how many, and how long a key or a value is in characters."""
