"""What is wrong with the way a container reaches a volume that must be verified."""

from collections.abc import Iterable, Iterator
from typing import Final

from weightlock.policy.paths import VolumePath
from weightlock.policy.spec import ReadOnly
from weightlock.policy.volumes import VolumeAction
from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Problem
from weightlock_webhook.decision.case import Case, Check
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.containers import Container, Cover, Mount, Propagation, Route
from weightlock_webhook.mounts.paths import ROOT, places_holding
from weightlock_webhook.wording import quoted


def raw_block_device(case: Case) -> Iterator[Problem]:
    """A device has no files to compare, and no read-only (A12)."""
    for mount in case.governed_mounts:
        if mount.route is Route.DEVICE:
            yield _problem(
                mount,
                Reason.RAW_BLOCK_DEVICE,
                "a volumeDevice",
                "a file system mount",
                "Use volumeMounts and a claim with volumeMode Filesystem.",
            )


def path_unknown(case: Case) -> Iterator[Problem]:
    """A subPathExpr is expanded when the pod starts, by values that can change until then (A19)."""
    for mount in case.governed_mounts:
        if mount.path is None:
            yield _problem(
                mount,
                Reason.SUB_PATH_EXPR,
                "a subPathExpr",
                "a path that is known now",
                "Write the path as subPath.",
            )


def propagated(case: Case) -> Iterator[Problem]:
    """Mounts made later on the node would appear inside, or spread from here (B17)."""
    for mount in case.governed_mounts:
        if mount.propagation is not Propagation.NONE:
            yield _problem(
                mount,
                Reason.MOUNT_PROPAGATION,
                f"mountPropagation: {mount.propagation}",
                "mountPropagation: None",
                "Remove mountPropagation.",
            )


def writable(case: Case) -> Iterator[Problem]:
    """Whoever can write changes what was verified (A02).

    Both levels count: readOnly of the mount binds one container; readOnly of the volume keeps the
    kubelet itself from changing owners on it and other containers from mounting it for writing.
    """
    if case.view.read_only is not ReadOnly.REQUIRED:
        return
    for mount in case.governed_mounts:
        at_volume = _volume_is_read_only(case.volumes[mount.volume].volume.source)
        if mount.route is Route.DEVICE or (mount.read_only and at_volume):
            continue
        missing = " and ".join(
            level
            for level, is_read_only in (("the volume", at_volume), ("the mount", mount.read_only))
            if not is_read_only
        )
        yield _problem(
            mount,
            Reason.WRITABLE_MOUNT,
            f"no readOnly: true at {missing}",
            "readOnly: true at the volume's source and at every mount of it",
            "Set readOnly: true there, and write results to another volume.",
        )


def covered(case: Case) -> Iterator[Problem]:
    """Something else lies at or below a governed mount, and is loaded in its place (A29)."""
    for container in case.pod.containers:
        yield from _covered_in(container, case)


MOUNT_CHECKS: Final[tuple[Check, ...]] = (
    raw_block_device,
    path_unknown,
    propagated,
    writable,
    covered,
)


def _volume_is_read_only(source: sources.VolumeSource) -> bool:
    """True where the source has no such switch: a host path, an image, an ephemeral claim."""
    match source:
        case sources.ClaimSource(read_only=read_only):
            return read_only
        case sources.InlineSource(read_only=read_only):
            return read_only is not False
        case _:
            return True


def _covered_in(container: Container, case: Case) -> Iterator[Problem]:
    governed = [
        mount
        for mount in container.mounts
        if case.volumes[mount.volume].action is VolumeAction.VERIFY
        and mount.route is not Route.DEVICE
    ]
    places = {mount.point: mount for mount in governed if mount.point is not None}
    for mount in governed:
        if mount.point is None:
            yield _nested(mount, f"the mount at {_place(None)}")
    for cover in container.covers:
        hidden = _hidden_by(cover, governed, places)
        if hidden is not None:
            where = f"{_place(cover.point)}, over the mount at {_place(hidden.point)}"
            yield _nested(hidden, f"{cover.by} at {where}")


def _hidden_by(
    cover: Cover, governed: list[Mount], places: dict[VolumePath, Mount]
) -> Mount | None:
    """The governed mount that a cover hides some of; None if it hides nothing."""
    if cover.point is None or cover.point == ROOT:
        # ".." leads through links of the image, so it may be anywhere. And runtimes sort mounts by
        # depth, where "/" counts as deep as "/models", so it may come on top.
        candidates: Iterable[Mount | None] = governed
    else:
        candidates = (places.get(place) for place in places_holding(cover.point))
    return next((each for each in candidates if each and each is not cover.mount), None)


def _nested(mount: Mount, found: str) -> Problem:
    return _problem(
        mount,
        Reason.NESTED_MOUNT,
        found,
        "nothing else at, inside or in place of a governed mount",
        "Mount it outside, or remove it.",
    )


def _place(point: VolumePath | None) -> str:
    return 'a path with ".."' if point is None else quoted(str(point))


def _problem(mount: Mount, reason: Reason, found: str, expected: str, fix: str) -> Problem:
    return Problem(
        reason,
        found,
        expected,
        fix,
        volume=mount.volume,
        container=mount.container,
        path="" if mount.path is None else str(mount.path),
    )
