"""What policies want done with each volume of a pod.

Each volume is looked at twice: as the pod names it, and as what it really is once a claim is
resolved. The stricter of the two decides, so that a claim is no way around a rule about host paths
or NFS servers (A13).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from weightlock.policy.volumes import VolumeAction, VolumeFacts, Volumes, strictest_action
from weightlock_webhook.decision.governance import View
from weightlock_webhook.decision.storage import HOST_BACKED, Backing, Claim, Storage
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.pods import Pod, Volume

_JUDGED_AS_NAMED: Final = HOST_BACKED | {sources.NFS}


@dataclass(frozen=True, slots=True)
class GovernedVolume:
    """A volume in one view."""

    volume: Volume
    action: VolumeAction
    facts: VolumeFacts
    claim: Claim | None

    @property
    def backing(self) -> Backing | None:
        """The persistent volume behind it."""
        return self.claim.backing if self.claim else None

    @property
    def host_facts(self) -> VolumeFacts | None:
        """The path of a node that this really is; None if it is none."""
        real = self.backing.facts if self.backing else self.facts
        return real if real.kind in HOST_BACKED else None


def governed_volumes(pod: Pod, view: View, storage: Storage) -> Mapping[str, GovernedVolume]:
    """Every volume of the pod by name, with what the view wants done with it."""
    return {volume.name: _governed(volume, view, storage) for volume in pod.volumes}


def claim_behind(volume: Volume, storage: Storage) -> Claim | None:
    """The claim behind a volume; None if it has none, or none that is known."""
    match volume.source:
        case sources.ClaimSource(claim=name):
            return storage.claims.get(name)
        case sources.ClaimTemplateSource():
            return storage.of_ephemeral_volumes.get(volume.name)
        case _:
            return None


def _governed(volume: Volume, view: View, storage: Storage) -> GovernedVolume:
    claim = claim_behind(volume, storage)
    facts = facts_of(volume, claim)
    action = _rules_for(volume, view).action_for(facts)
    if claim and claim.backing:
        action = strictest_action([action, _action_for_real(claim.backing.facts, view)])
    return GovernedVolume(volume, action, facts, claim)


def may_be_swapped(volume: Volume, view: View) -> bool:
    """Whether another claim under the same name, or in its place, could be the view's business.

    Some rule may be about what a claim really is, so any that does not let all pass counts.
    """
    if not isinstance(volume.source, sources.ClaimSource | sources.ClaimTemplateSource):
        return False
    actions = {view.volumes.default, *(rule.action for rule in view.volumes.rules)}
    return actions != {VolumeAction.IGNORE}


def facts_of(volume: Volume, claim: Claim | None) -> VolumeFacts:
    """What rules look at.

    Class and name of a claim that starts with somebody's bytes are withheld: a rule that lets
    scratch pass is about claims that start empty (B14), and whoever makes a claim chooses both. So
    is the class of a claim that took the place of the one that was made for the pod.
    """
    source = volume.source
    match source:
        case sources.ClaimSource(claim=name) if not (claim and claim.is_prefilled):
            storage_class = claim.storage_class if claim else None
            return VolumeFacts(source.kind, storage_class=storage_class, claim_name=name)
        case sources.ClaimTemplateSource(storage_class=name, prefilled_by=prefilled_by):
            is_other = claim is not None and (claim.is_prefilled or claim.storage_class != name)
            known = name if name and not prefilled_by and not is_other else None
            return VolumeFacts(source.kind, storage_class=known)
        case sources.HostPathSource(path=path):
            return VolumeFacts(source.kind, path=path)
        case sources.ImageSource(reference=reference):
            return VolumeFacts(source.kind, reference=reference)
        case sources.InlineSource(path=path, server=server, driver=driver):
            return VolumeFacts(source.kind, path=path, server=server or None, driver=driver or None)
    return VolumeFacts(source.kind)


def _rules_for(volume: Volume, view: View) -> Volumes:
    # Neither an emptyDir nor an API object of at most 1 MiB arrives with a checkpoint in it, so the
    # default for sources that can carry one is not about them; a rule that names them is. They are
    # refused wherever they cover a governed mount.
    if isinstance(volume.source, sources.ScratchSource | sources.ConfigurationSource):
        return view.only_rules
    return view.volumes


def _action_for_real(facts: VolumeFacts, view: View) -> VolumeAction:
    # A host path or an NFS export is judged as if the pod had named it. For other sources the claim
    # has been judged already, and only rules that name the source add to that.
    return (view.volumes if facts.kind in _JUDGED_AS_NAMED else view.only_rules).action_for(facts)
