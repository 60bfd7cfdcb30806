"""What a pod with a governed volume may not be or do; each denial with its compliant twin."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.policy.builders import policy
from tests.unit.webhook.cluster import LLAMA, answer, checkpoint, claim, facts, storage
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec, volume

from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.decision.facts import Allowances, Facts
from weightlock_webhook.mounts.containers import DEVICE_CLASS_PREFIX

SCRATCH = volume("scratch", emptyDir={})
CONFIG = volume("config", configMap={"name": "settings"})


def asking(device_class: str) -> Object:
    return {"limits": {f"{DEVICE_CLASS_PREFIX}{device_class}": "1"}}


def one(*mounts: Object, **fields: Any) -> list[Object]:
    return [container(*mounts, **fields)]


def securely(**context: Any) -> list[Object]:
    return one(mount(), securityContext=context)


@pytest.mark.parametrize(
    ("reason", "denied", "allowed"),
    [
        pytest.param(
            Reason.UNKNOWN_FIELD,
            pod_spec(modelMounts=[]),
            pod_spec(hostNetwork=True),
            id="a pod field of the future",
        ),
        pytest.param(
            Reason.UNKNOWN_FIELD,
            pod_spec(containers=one(mount(through="a wormhole"))),
            pod_spec(containers=one(mount(bindMountOptions=["noexec"]))),
            id="a mount field of the future",
        ),
        pytest.param(
            Reason.NODE_NAMED,
            pod_spec(nodeName="node-1"),
            pod_spec(nodeSelector={"kubernetes.io/hostname": "node-1"}),
            id="a pod that passes no scheduler",
        ),
        pytest.param(
            Reason.WINDOWS_POD,
            pod_spec(os={"name": "windows"}),
            pod_spec(os={"name": "linux"}),
            id="a Windows pod",
        ),
        pytest.param(
            Reason.HOST_NAMESPACES,
            pod_spec(hostPID=True),
            pod_spec(hostPID=False),
            id="the node's processes",
        ),
        pytest.param(
            Reason.SHARED_PROCESSES,
            pod_spec(shareProcessNamespace=True),
            pod_spec(shareProcessNamespace=False),
            id="processes shared between containers",
        ),
        pytest.param(
            Reason.SHARED_PROCESSES,
            pod_spec(ephemeralContainers=[{"name": "debug", "targetContainerName": "trainer"}]),
            pod_spec(ephemeralContainers=[{"name": "debug"}]),
            id="an ephemeral container that joins another's processes",
        ),
        pytest.param(
            Reason.PRIVILEGED_CONTAINER,
            pod_spec(containers=securely(privileged=True)),
            pod_spec(containers=securely(privileged=False)),
            id="a privileged container",
        ),
        pytest.param(
            Reason.PRIVILEGED_CONTAINER,
            pod_spec(containers=securely(capabilities={"add": ["SYS_PTRACE"]})),
            pod_spec(containers=securely(capabilities={"add": ["IPC_LOCK"], "drop": ["ALL"]})),
            id="a container that may trace others",
        ),
        pytest.param(
            Reason.PRIVILEGED_CONTAINER,
            pod_spec(
                containers=one(mount()),
                initContainers=one(name="setup", securityContext={"privileged": True}),
            ),
            pod_spec(containers=one(mount()), initContainers=one(name="setup")),
            id="a privileged init container without a mount",
        ),
        pytest.param(
            Reason.DEVICE_CLAIM,
            pod_spec(resourceClaims=[{"name": "gpu", "resourceClaimName": "mine"}]),
            pod_spec(resourceClaims=[{"name": "gpu", "resourceClaimName": "known"}]),
            id="a device claim of an unknown class",
        ),
        pytest.param(
            Reason.DEVICE_CLAIM,
            pod_spec(resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "odd"}]),
            pod_spec(resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "known"}]),
            id="a device claim of a class that is not allowed",
        ),
        pytest.param(
            Reason.DEVICE_CLAIM,
            pod_spec(containers=one(mount(), resources=asking("odd.example"))),
            pod_spec(containers=one(mount(), resources=asking("gpu.example"))),
            id="a resource of a device class that is not allowed",
        ),
        pytest.param(
            Reason.DEVICE_CLAIM,
            pod_spec(
                containers=one(mount()),
                initContainers=one(
                    name="setup",
                    resources={"requests": {f"{DEVICE_CLASS_PREFIX}odd.example": "1", "cpu": "1"}},
                ),
            ),
            pod_spec(
                containers=one(mount()),
                initContainers=one(
                    name="setup", resources={"requests": {"vendor.example/gpu": "1", "cpu": "1"}}
                ),
            ),
            id="an init container that only requests one",
        ),
        pytest.param(
            Reason.RUNTIME_CLASS,
            pod_spec(runtimeClassName="hooks"),
            pod_spec(runtimeClassName="nvidia"),
            id="a RuntimeClass that is not allowed",
        ),
        pytest.param(
            Reason.RAW_BLOCK_DEVICE,
            pod_spec(containers=one(volumeDevices=[{"name": "model", "devicePath": "/dev/m"}])),
            pod_spec(containers=one(mount())),
            id="a raw block device",
        ),
        pytest.param(
            Reason.SUB_PATH_EXPR,
            pod_spec(containers=one(mount(subPathExpr="$(P)"))),
            pod_spec(containers=one(mount(subPath="step-1200"))),
            id="a subPathExpr",
        ),
        pytest.param(
            Reason.MOUNT_PROPAGATION,
            pod_spec(containers=one(mount(mountPropagation="HostToContainer"))),
            pod_spec(containers=one(mount(mountPropagation="None"))),
            id="mounts of the node that appear inside",
        ),
        pytest.param(
            Reason.MOUNT_PROPAGATION,
            pod_spec(containers=one(mount(mountPropagation="Bidirectional"))),
            pod_spec(containers=one(mount(recursiveReadOnly="Enabled"))),
            id="mounts that spread to the node",
        ),
        pytest.param(
            Reason.WRITABLE_MOUNT,
            pod_spec(containers=one(mount(readOnly=False))),
            pod_spec(containers=one(mount(readOnly=True))),
            id="a writable mount of a read-only volume",
        ),
        pytest.param(
            Reason.WRITABLE_MOUNT,
            pod_spec(claim_volume(read_only=False)),
            pod_spec(claim_volume(read_only=True)),
            id="a read-only mount of a writable volume",
        ),
        pytest.param(
            Reason.WRITABLE_MOUNT,
            pod_spec(containers=one(mount()), initContainers=one(mount(readOnly=False), name="i")),
            pod_spec(containers=one(mount()), initContainers=one(mount(), name="i")),
            id="one writable init container beside a read-only main container",
        ),
        pytest.param(
            Reason.WRITABLE_MOUNT,
            pod_spec(
                containers=one(mount()), ephemeralContainers=one(mount(readOnly=False), name="e")
            ),
            pod_spec(containers=one(mount()), ephemeralContainers=one(mount(), name="e")),
            id="a writable ephemeral container",
        ),
        pytest.param(
            Reason.NESTED_MOUNT,
            pod_spec(
                claim_volume(),
                CONFIG,
                containers=one(mount(), mount("config", at="/models/config.json")),
            ),
            pod_spec(
                claim_volume(),
                CONFIG,
                containers=one(mount(), mount("config", at="/models-config/config.json")),
            ),
            id="a file mounted over a signed one",
        ),
        pytest.param(
            Reason.NESTED_MOUNT,
            pod_spec(
                claim_volume(), SCRATCH, containers=one(mount(), mount("scratch", at="/models/"))
            ),
            pod_spec(
                claim_volume(),
                SCRATCH,
                containers=one(mount(), mount("scratch", at="/srv/models")),
            ),
            id="a mount in place of the model, spelled differently",
        ),
        pytest.param(
            Reason.NESTED_MOUNT,
            pod_spec(claim_volume(), SCRATCH, containers=one(mount(), mount("scratch", at="/"))),
            pod_spec(
                claim_volume(),
                SCRATCH,
                containers=one(mount(at="/srv/models"), mount("scratch", at="/srv")),
            ),
            id="a mount over everything",
        ),
        pytest.param(
            Reason.NESTED_MOUNT,
            pod_spec(
                claim_volume(),
                SCRATCH,
                containers=one(mount(), mount("scratch", at="/x/../models")),
            ),
            pod_spec(claim_volume(), SCRATCH, containers=one(mount(), mount("scratch", at="/x"))),
            id="a mount at a path with ..",
        ),
        pytest.param(
            Reason.NESTED_MOUNT,
            pod_spec(containers=one(mount(at="/x/../models"))),
            pod_spec(containers=one(mount(at="/models"))),
            id="the model itself at a path with ..",
        ),
        pytest.param(
            Reason.NESTED_MOUNT,
            pod_spec(containers=one(mount(), terminationMessagePath="/models/config.json")),
            pod_spec(containers=one(mount(), terminationMessagePath="/srv/message")),
            id="the termination message over a signed file",
        ),
        pytest.param(
            Reason.NESTED_MOUNT,
            pod_spec(containers=one(mount(), mount(at="/models/inner", subPath="step-1200"))),
            pod_spec(containers=one(mount(), mount(at="/other", subPath="step-1200"))),
            id="a part of the model over another part",
        ),
        pytest.param(
            Reason.NESTED_MOUNT,
            pod_spec(
                claim_volume(),
                volume("disk", persistentVolumeClaim={"claimName": "scratch"}),
                containers=one(
                    mount(), volumeDevices=[{"name": "disk", "devicePath": "/models/x"}]
                ),
            ),
            pod_spec(
                claim_volume(),
                volume("disk", persistentVolumeClaim={"claimName": "scratch"}),
                containers=one(mount(), volumeDevices=[{"name": "disk", "devicePath": "/dev/x"}]),
            ),
            id="a device of another volume inside the model",
        ),
    ],
)
def test_a_pod_is_refused_and_its_compliant_twin_is_not(
    reason: Reason, denied: Object, allowed: Object
) -> None:
    found = around()
    refused = answer(denied, found)
    assert (refused.outcome, [each.reason for each in refused.refusals]) == (Outcome.DENY, [reason])
    assert answer(allowed, found).outcome is Outcome.ALLOW


def around() -> Facts:
    scratch = claim("scratch")
    rules = [{"persistentVolumeClaim": {"claimNames": ["scratch"]}, "action": "Ignore"}]
    return facts(
        policy(volumes={"rules": rules}),
        storage=storage(LLAMA, scratch),
        allowances=Allowances(device_classes=frozenset({"gpu.example"})),
        device_classes={
            "claim/known": frozenset({"gpu.example"}),
            "template/known": frozenset({"gpu.example"}),
            "template/odd": frozenset({"gpu.example", "odd.example"}),
        },
    )


def test_a_cdi_annotation_is_refused() -> None:
    refused = answer(pod_spec(), None, **{"cdi.k8s.io/x": "vendor.com/device=all"})
    assert [each.reason for each in refused.refusals] == [Reason.CDI_ANNOTATION]
    assert answer(pod_spec(), None, **{"example/cdi.k8s.io": "x"}).outcome is Outcome.ALLOW


def test_a_field_that_was_looked_at_is_let_through() -> None:
    found = facts(allowances=Allowances(harmless_fields=frozenset({"spec.modelMounts"})))
    assert answer(pod_spec(modelMounts=[]), found).outcome is Outcome.ALLOW


def test_a_pod_without_governed_volumes_may_be_privileged() -> None:
    spec = pod_spec(
        SCRATCH,
        containers=[
            container(securityContext={"privileged": True}, resources=asking("odd.example"))
        ],
        hostPID=True,
        shareProcessNamespace=True,
        os={"name": "windows"},
        runtimeClassName="hooks",
        resourceClaims=[{"name": "gpu", "resourceClaimName": "mine"}],
        ephemeralContainers=[{"name": "debug", "targetContainerName": "trainer"}],
    )
    found = answer(spec, None, **{"cdi.k8s.io/x": "vendor.com/device=all"})
    assert (found.outcome, found.reason) == (Outcome.ALLOW, Reason.NOT_GOVERNED)


def test_a_policy_may_let_writers_in() -> None:
    spec = pod_spec(claim_volume(read_only=False), containers=one(mount(readOnly=False)))
    optional = facts(policy(mounts={"readOnly": "Optional"}))
    assert answer(spec, optional).outcome is Outcome.ALLOW


def test_every_problem_is_told_at_once() -> None:
    spec = pod_spec(
        claim_volume(read_only=False), containers=one(mount(readOnly=False)), hostPID=True
    )
    assert {each.reason for each in answer(spec).refusals} == {
        Reason.WRITABLE_MOUNT,
        Reason.HOST_NAMESPACES,
    }


def test_a_denial_says_what_was_found_what_was_expected_and_what_to_do() -> None:
    refused = answer(pod_spec(containers=one(mount(readOnly=False))))
    assert refused.message == (
        'WritableMount: container "trainer", volume "model", path "/": found no readOnly: true at'
        " the mount, expected readOnly: true at the volume's source and at every mount of it."
        " Set readOnly: true there, and write results to another volume."
    )


def test_a_message_spells_out_the_first_of_many_refusals() -> None:
    containers = [container(mount(readOnly=False), name=f"c{number}") for number in range(12)]
    lines = answer(pod_spec(containers=containers)).message.splitlines()
    assert (len(lines), lines[-1]) == (11, "(2 more)")


def test_names_from_users_cannot_break_a_sentence() -> None:
    evil = 'x"\n\x1b[31mok\u202e'
    spec = pod_spec(
        claim_volume("model", evil),
        containers=[container(mount(), name=evil)],
    )
    message = answer(spec, facts(checkpoints=[checkpoint()])).message
    assert message.isascii()
    assert message.isprintable()


SCRATCH_RULE: Object = {
    "persistentVolumeClaim": {"storageClassNames": ["models"]},
    "action": "Ignore",
}


@pytest.mark.parametrize(
    ("under", "spec", "refused"),
    [
        pytest.param({}, pod_spec(SCRATCH), False, id="nothing that can be swapped"),
        pytest.param({"rules": [SCRATCH_RULE]}, pod_spec(), True, id="a scratch claim"),
        pytest.param({"default": "Ignore"}, pod_spec(), False, id="claims are nobody's business"),
        pytest.param(
            {"default": "Ignore", "rules": [{"nfs": {}, "action": "Forbid"}]},
            pod_spec(),
            True,
            id="a claim may be over what a rule forbids",
        ),
        pytest.param(
            {"rules": [{"ephemeral": {"storageClassNames": ["s"]}, "action": "Ignore"}]},
            pod_spec(
                volume(
                    "model",
                    ephemeral={"volumeClaimTemplate": {"spec": {"storageClassName": "s"}}},
                )
            ),
            True,
            id="a claim that is made for the pod",
        ),
    ],
)
def test_a_named_node_is_refused_wherever_another_claim_would_be_somebodys_business(
    under: Object, spec: Object, refused: bool
) -> None:
    placed = spec | {"nodeName": "node-1"}
    if not any("emptyDir" in each for each in spec["volumes"]):
        spec = spec | {"nodeSelector": {"kubernetes.io/hostname": "node-1"}}
    else:
        spec, placed = (each | {"containers": []} for each in (spec, placed))
    found = facts(policy(volumes=under))
    assert answer(spec, found).message == ""
    reasons = [each.reason for each in answer(placed, found).refusals]
    assert reasons == ([Reason.NODE_NAMED] if refused else [])


def test_a_pod_that_runs_may_have_its_node() -> None:
    found = facts(is_running=True)
    assert answer(pod_spec(nodeName="node-1"), found).outcome is Outcome.ALLOW


def test_a_named_node_is_refused_also_for_storage_that_nobody_can_swap() -> None:
    """A verdict may have been revoked by the time such a pod starts."""
    spec = pod_spec(volume("model", nfs={"server": "nas", "path": "/e", "readOnly": True}))
    found = facts(checkpoints=[])
    reasons = {each.reason for each in answer(spec | {"nodeName": "n"}, found).refusals}
    assert reasons == {each.reason for each in answer(spec, found).refusals} | {Reason.NODE_NAMED}


@pytest.mark.parametrize("spelled", [str, str.lower, "CAP_{}".format])
@pytest.mark.parametrize(
    "name", ["ALL", "DAC_READ_SEARCH", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO"]
)
def test_a_capability_that_opens_what_is_closed_is_refused(
    name: str, spelled: Callable[[str], str]
) -> None:
    context = {"capabilities": {"add": ["NET_RAW", spelled(name)]}}
    refused = answer(pod_spec(containers=securely(**context)))
    assert [each.reason for each in refused.refusals] == [Reason.PRIVILEGED_CONTAINER]
    assert answer(pod_spec(containers=securely(capabilities={"drop": [name]}))).message == ""


@pytest.mark.parametrize(
    ("context", "found"),
    [
        pytest.param({"privileged": True}, "privileged: true", id="privileged"),
        pytest.param(
            {"capabilities": {"add": ["SYS_ADMIN", "SYS_PTRACE"]}},
            "capabilities SYS_ADMIN, SYS_PTRACE",
            id="capabilities",
        ),
    ],
)
def test_a_denial_says_which_right_is_too_much(context: Object, found: str) -> None:
    (refused,) = answer(pod_spec(containers=securely(**context))).refusals
    assert refused.found == found


@pytest.mark.parametrize(
    ("at_volume", "at_mount", "missing"),
    [
        pytest.param(False, True, "the volume", id="volume"),
        pytest.param(True, False, "the mount", id="mount"),
        pytest.param(False, False, "the volume and the mount", id="both"),
    ],
)
def test_a_denial_says_where_read_only_is_missing(
    at_volume: bool, at_mount: bool, missing: str
) -> None:
    spec = pod_spec(claim_volume(read_only=at_volume), containers=one(mount(readOnly=at_mount)))
    (refused,) = answer(spec).refusals
    assert refused.found == f"no readOnly: true at {missing}"


def test_a_named_node_is_warned_about_where_policies_only_warn() -> None:
    found = answer(pod_spec(nodeName="node-1"), facts(policy(enforcement="Warn")))
    assert found.outcome is Outcome.ALLOW
    assert "nodeSelector" in found.warnings[0]
