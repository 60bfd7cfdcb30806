"""Under which names the version of a model is remembered against rollback (A22).

What cluster policies vouch for counts in every namespace; what only a namespace's own policies
vouch for counts there. The operator writes both into one ConfigMap, and the webhook reads them.
"""

from collections.abc import Mapping
from typing import Final

OF_NAMESPACE: Final = ":"
"""Between namespace and model; neither can have one in its name."""


def own_name(namespace: str, model: str) -> str:
    """The name of a model for a namespace alone."""
    return f"{namespace}{OF_NAMESPACE}{model}"


def highest_seen(floors: Mapping[str, int], namespace: str, model: str) -> int:
    """The version of a model below which it is refused in a namespace; 0 for any."""
    return max(floors.get(model, 0), floors.get(own_name(namespace, model), 0))
