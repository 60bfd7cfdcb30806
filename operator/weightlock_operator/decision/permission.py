"""Whether policies let the storage be read that a checkpoint describes itself.

The operator mounts it with rights that a tenant may not have: pod security keeps tenants from host
paths, and a network policy from exports. So it mounts for them only what the policies' `volumes`
let pods mount once it is verified, and never what leads to other pods (A13). A claim is a tenant's
own: whoever made its volume has decided already.
"""

from typing import Final

from weightlock.policy.composition import Composition
from weightlock.policy.host_paths import leads_to_other_pods
from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    ImageSource,
    NfsSource,
)
from weightlock.policy.volumes import VolumeAction, VolumeFacts
from weightlock.reasons import Reason
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.memory import Word

_ADVICE: Final = "use a persistentVolumeClaim, or ask for a rule of spec.volumes in the policy"


def not_permitted(facts: Facts) -> Word | None:
    """Why the storage may not be read for the tenant; None if it may."""
    spec = facts.checkpoint.spec
    if spec is None or isinstance(spec.source, ClaimSource):
        return None
    if isinstance(spec.source, HostPathSource):
        return _by_host_path(spec.source.path, facts)
    volume = _facts_of(spec.source)
    action = facts.composition.action_for(volume)
    if action is VolumeAction.VERIFY:
        return None
    message = f"the policies say {action} of this {volume.kind}, and read it for nobody; {_ADVICE}"
    return Word(Reason.VOLUME_FORBIDDEN, message)


def _by_host_path(path: VolumePath, facts: Facts) -> Word | None:
    volume = VolumeFacts("hostPath", path=path)
    if leads_to_other_pods(path, facts.installation.forbidden_host_paths):
        said = f"the node's path {path} leads to other pods' volumes, or to the node itself"
        return Word(Reason.HOST_PATH_ALIAS, f"{said}; use a persistentVolumeClaim")
    composition = facts.composition
    if composition.action_for(volume) is VolumeAction.VERIFY and _is_named(volume, composition):
        return None
    said = f"no rule of every policy here says Verify of the node's path {path}"
    return Word(Reason.HOST_PATH_ALIAS, f"{said}; {_ADVICE}")


def _is_named(volume: VolumeFacts, composition: Composition) -> bool:
    """As admission demands of pods: a default is not enough to open a node's folders."""
    return all(
        any(rule.covers(volume) for rule in policy.spec.volumes.rules)
        for policy in composition.policies
    )


def _facts_of(source: NfsSource | CsiSource | ImageSource) -> VolumeFacts:
    match source:
        case NfsSource(server=server, path=path):
            return VolumeFacts("nfs", server=server, path=path)
        case CsiSource(driver=driver):
            return VolumeFacts("csi", driver=driver)
    return VolumeFacts("image", reference=source.reference)
