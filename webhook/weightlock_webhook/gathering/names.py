"""What has to be looked up for a pod, worked out once for all its copies."""

from dataclasses import dataclass

from weightlock.policy.volumes import VolumeFacts
from weightlock_webhook.decision.governing import facts_of
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.pods import Pod, Volume
from weightlock_webhook.mounts.sources import NFS, VolumeSource


@dataclass(frozen=True, slots=True)
class Names:
    """What a pod's volumes name."""

    claims: tuple[str, ...] = ()
    templates: tuple[Volume, ...] = ()
    """Volumes whose claims are made once the pod has a name."""

    storage: tuple[VolumeSource, ...] = ()
    """Whatever a checkpoint may be about."""

    paths: tuple[tuple[str, VolumeFacts], ...] = ()
    """Paths of a node or a server, by the volume that names them itself."""


def names_of(pod: Pod) -> Names:
    """What a pod names."""
    if not pod.has_storage:
        return Names()
    claims = dict.fromkeys(
        each.source.claim for each in pod.volumes if isinstance(each.source, sources.ClaimSource)
    )
    return Names(
        tuple(claims),
        tuple(each for each in pod.volumes if isinstance(each.source, sources.ClaimTemplateSource)),
        tuple(
            each.source
            for each in pod.volumes
            if not isinstance(each.source, sources.ScratchSource | sources.ConfigurationSource)
        ),
        tuple((each.name, facts_of(each, None)) for each in pod.volumes if _is_path(each.source)),
    )


def _is_path(source: VolumeSource) -> bool:
    return isinstance(source, sources.HostPathSource) or source.kind == NFS
