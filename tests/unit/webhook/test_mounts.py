"""From a pod to what its containers reach: every container, every volume, every way."""

from typing import Any

import pytest
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec, volume

from weightlock.errors import LimitExceeded, Malformed
from weightlock_webhook.mounts.containers import (
    ContainerName,
    Propagation,
    RecursiveReadOnly,
    Role,
    Route,
)
from weightlock_webhook.mounts.paths import ROOT, path_of
from weightlock_webhook.mounts.pods import MOST_MOUNTS, MOST_VOLUMES, DeviceClaim, Pod, pod_of
from weightlock_webhook.mounts.sources import (
    ClaimSource,
    ClaimTemplateSource,
    ConfigurationSource,
    HostPathSource,
    ImageSource,
    InlineSource,
    ScratchSource,
    UnknownSource,
    VolumeSource,
    image_digest,
)

DIGEST = "0123456789abcdef" * 4


def read(spec: Object, **annotations: str) -> Pod:
    return pod_of({"name": "trainer", "annotations": annotations}, spec)


@pytest.mark.parametrize(
    ("key", "fields", "role"),
    [
        pytest.param("containers", {}, Role.MAIN, id="a main container"),
        pytest.param("initContainers", {}, Role.INIT, id="an init container"),
        pytest.param(
            "initContainers", {"restartPolicy": "Always"}, Role.SIDECAR, id="a sidecar container"
        ),
        pytest.param("ephemeralContainers", {}, Role.EPHEMERAL, id="an ephemeral container"),
    ],
)
def test_every_kind_of_container_is_read(key: str, fields: Object, role: Role) -> None:
    spec = pod_spec(containers=[container()]) | {key: [container(mount(), name="x", **fields)]}
    assert [found.container for found in read(spec).mounts] == [ContainerName(role, "x")]


def test_a_volume_that_nobody_mounts_is_reachable_as_a_whole() -> None:
    spec = pod_spec(claim_volume(), claim_volume("evil", "evil"))
    unmounted = [found for found in read(spec).mounts if found.volume == "evil"]
    assert [(found.route, found.path, found.container) for found in unmounted] == [
        (Route.UNMOUNTED, ROOT, None)
    ]


@pytest.mark.parametrize(
    ("fields", "route", "path"),
    [
        pytest.param({}, Route.MOUNT, "/", id="the whole volume"),
        pytest.param({"subPath": ""}, Route.MOUNT, "/", id="an empty subPath is the whole volume"),
        pytest.param({"subPath": None}, Route.MOUNT, "/", id="null is absent"),
        pytest.param({"subPath": "good"}, Route.SUB_PATH, "/good", id="a subPath"),
        pytest.param({"subPath": "./a//b/."}, Route.SUB_PATH, "/a/b", id="a spelling of a subPath"),
        pytest.param({"subPath": "."}, Route.SUB_PATH, "/", id="a subPath that is the root"),
        pytest.param({"subPath": "..a/b.."}, Route.SUB_PATH, "/..a/b..", id="dots in a name"),
        pytest.param({"subPathExpr": "$(P)"}, Route.SUB_PATH_EXPR, None, id="a subPathExpr"),
    ],
)
def test_the_path_inside_the_volume_is_normalised(
    fields: Object, route: Route, path: str | None
) -> None:
    found = read(pod_spec(containers=[container(mount(**fields))])).mounts[0]
    assert (found.route, None if found.path is None else str(found.path)) == (route, path)


def test_a_raw_block_device_reaches_the_whole_volume_for_writing() -> None:
    device = {"name": "model", "devicePath": "/dev/model"}
    found = read(pod_spec(containers=[container(volumeDevices=[device])])).mounts[0]
    assert (found.route, found.path, found.read_only) == (Route.DEVICE, ROOT, False)


@pytest.mark.parametrize(
    ("fields", "read_only", "recursive", "propagation"),
    [
        pytest.param(
            {"readOnly": None},
            False,
            RecursiveReadOnly.DISABLED,
            Propagation.NONE,
            id="a mount is writable unless it says otherwise",
        ),
        pytest.param(
            {"recursiveReadOnly": "Enabled", "mountPropagation": "None"},
            True,
            RecursiveReadOnly.ENABLED,
            Propagation.NONE,
            id="read-only with everything inside",
        ),
        pytest.param(
            {"recursiveReadOnly": "IfPossible", "mountPropagation": "HostToContainer"},
            True,
            RecursiveReadOnly.IF_POSSIBLE,
            Propagation.HOST_TO_CONTAINER,
            id="mounts of the node appear",
        ),
        pytest.param(
            {"mountPropagation": "Bidirectional"},
            True,
            RecursiveReadOnly.DISABLED,
            Propagation.BIDIRECTIONAL,
            id="mounts cross both ways",
        ),
    ],
)
def test_the_rights_of_a_mount_are_read(
    fields: Object, read_only: bool, recursive: RecursiveReadOnly, propagation: Propagation
) -> None:
    found = read(pod_spec(containers=[container(mount(**fields))])).mounts[0]
    assert (found.read_only, found.recursive_read_only, found.propagation) == (
        read_only,
        recursive,
        propagation,
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(
            {"persistentVolumeClaim": {"claimName": "llama"}},
            ClaimSource("llama", read_only=False),
            id="a claim",
        ),
        pytest.param(
            {"persistentVolumeClaim": {"claimName": "llama", "readOnly": True}},
            ClaimSource("llama", read_only=True),
            id="a claim, read-only",
        ),
        pytest.param(
            {"persistentVolumeClaim": {"claimName": "llama", "part": 1}},
            UnknownSource(("persistentVolumeClaim.part",)),
            id="a claim with a field of the future",
        ),
        pytest.param(
            {"hostPath": {"path": "/data//m/./", "type": "Directory"}},
            HostPathSource(path_of("/data/m"), "Directory"),
            id="a host path, in any spelling",
        ),
        pytest.param(
            {"image": {"reference": f"registry/m@sha256:{DIGEST}", "pullPolicy": "Never"}},
            ImageSource(f"registry/m@sha256:{DIGEST}", f"sha256:{DIGEST}"),
            id="an image by digest",
        ),
        pytest.param(
            {"image": {"reference": "registry/m:v1"}},
            ImageSource("registry/m:v1", ""),
            id="an image by tag",
        ),
        pytest.param(
            {"image": {"reference": f"registry/m@sha256:{DIGEST.upper()}"}},
            ImageSource(f"registry/m@sha256:{DIGEST.upper()}", ""),
            id="an image by something that looks like a digest",
        ),
        pytest.param(
            {"image": {"reference": f"@sha256:{DIGEST}"}},
            ImageSource(f"@sha256:{DIGEST}", ""),
            id="a digest of no image",
        ),
        pytest.param(
            {"nfs": {"server": "nas", "path": "/e", "readOnly": True}},
            InlineSource(
                "nfs",
                '{"path":"/e","server":"nas"}',
                read_only=True,
                server="nas",
                path=path_of("/e"),
            ),
            id="nfs",
        ),
        pytest.param(
            {"csi": {"driver": "d", "volumeAttributes": {"b": "1", "a": "2"}}},
            InlineSource(
                "csi",
                '{"driver":"d","volumeAttributes":{"a":"2","b":"1"}}',
                read_only=False,
                driver="d",
            ),
            id="an inline CSI volume",
        ),
        pytest.param(
            {"gitRepo": {"repository": "r"}},
            InlineSource("gitRepo", '{"repository":"r"}', read_only=None),
            id="a source that is never read-only",
        ),
        pytest.param({"emptyDir": {"medium": "Memory"}}, ScratchSource(), id="an emptyDir"),
        pytest.param(
            {"emptyDir": {"prefill": "evil"}},
            UnknownSource(("emptyDir.prefill",)),
            id="an emptyDir that does not start empty",
        ),
        pytest.param(
            {"configMap": {"name": "c"}},
            ConfigurationSource("configMap", ("configMap",)),
            id="a configMap",
        ),
        pytest.param(
            {"projected": {"sources": [{"serviceAccountToken": {}}, {"configMap": {}}]}},
            ConfigurationSource("projected", ("serviceAccountToken", "configMap")),
            id="a projection of API objects",
        ),
        pytest.param(
            {"projected": {"sources": [{"secret": {}}, {"bucket": {}}]}},
            UnknownSource(("projected.bucket",)),
            id="a projection of something unknown",
        ),
        pytest.param(
            {"ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "scratch"}}}},
            ClaimTemplateSource("scratch", ()),
            id="a generic ephemeral volume",
        ),
        pytest.param(
            {
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {"dataSource": {}, "dataSourceRef": {}, "volumeName": "pv"}
                    }
                }
            },
            ClaimTemplateSource("", ("dataSource", "dataSourceRef", "volumeName")),
            id="a generic ephemeral volume with somebody's data",
        ),
        pytest.param({"tapeRobot": {}}, UnknownSource(("tapeRobot",)), id="an unknown source"),
        pytest.param({}, UnknownSource(()), id="no source: one that the server dropped"),
        pytest.param({"hostPath": None}, UnknownSource(()), id="null is no source"),
    ],
)
def test_every_source_is_told_apart(source: Object, expected: VolumeSource) -> None:
    spec = pod_spec(volume("model", **source))
    assert [found.source for found in read(spec).volumes] == [expected]


def test_two_spellings_of_inline_storage_are_one_definition() -> None:
    one = {"nfs": {"server": "nas", "path": "/e"}}
    other = {"nfs": {"path": "/e", "readOnly": False, "server": "nas", "x": None}}
    found = [read(pod_spec(volume("model", **source))).volumes[0].source for source in (one, other)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("pod", id="a spec that is text"),
        pytest.param({1: "x"}, id="a key that is a number"),
        pytest.param(None, id="no spec"),
        pytest.param({"containers": {}}, id="containers that are no list"),
        pytest.param({"containers": [None]}, id="a container that is null"),
        pytest.param({"containers": [{"volumeMounts": []}]}, id="a container without a name"),
        pytest.param({"containers": [{"name": 7}]}, id="a container whose name is a number"),
        pytest.param({"hostPID": "false"}, id="a flag that is text"),
        pytest.param({"hostPID": 0}, id="a flag that is a number"),
        pytest.param(pod_spec(claim_volume(), claim_volume()), id="two volumes of one name"),
        pytest.param(pod_spec(volume("")), id="a volume without a name"),
        pytest.param(
            pod_spec(volume("model", nfs={}, emptyDir={})), id="a volume with two sources"
        ),
        pytest.param(
            pod_spec(volume("model", persistentVolumeClaim={})), id="a claim without a name"
        ),
        pytest.param(
            pod_spec(volume("model", hostPath={"path": "/a/../b"})), id=".. in a hostPath"
        ),
        pytest.param(
            pod_spec(volume("model", rbd={"image": float("nan")})), id="a source with a NaN"
        ),
        pytest.param(pod_spec(volume("model", rbd={"image": b"x"})), id="a source that is bytes"),
        pytest.param(
            pod_spec(volume("model", csi={"driver": "d", "volumeAttributes": "x"})),
            id="attributes as text",
        ),
        pytest.param(pod_spec(containers=[container(mount("ghost"))]), id="an undeclared volume"),
        pytest.param(
            pod_spec(containers=[container(mount(subPath="a/../b"))]), id=".. in a subPath"
        ),
        pytest.param(
            pod_spec(containers=[container(mount(subPath="a\0b"))]), id="NUL in a subPath"
        ),
        pytest.param(
            pod_spec(containers=[container(mount(subPath="a", subPathExpr="b"))]),
            id="subPath and subPathExpr",
        ),
        pytest.param(pod_spec(containers=[container(mount(at=""))]), id="no mountPath"),
        pytest.param(
            pod_spec(containers=[container(mount(readOnly="true"))]), id="readOnly as text"
        ),
        pytest.param(
            pod_spec(containers=[container(mount(mountPropagation="Sideways"))]),
            id="an unknown propagation",
        ),
        pytest.param(
            pod_spec(containers=[container(mount(recursiveReadOnly="Maybe"))]),
            id="an unknown recursiveReadOnly",
        ),
        pytest.param(
            pod_spec(containers=[container(resources={"claims": [{"name": "gpu"}]})]),
            id="an undeclared resource claim",
        ),
        pytest.param(
            pod_spec(
                containers=[container(securityContext={"capabilities": {"add": [1]}})],
            ),
            id="a capability that is a number",
        ),
    ],
)
def test_what_the_api_server_would_not_send_is_malformed(broken: Any) -> None:
    with pytest.raises(Malformed):
        pod_of({}, {"containers": []} | broken if isinstance(broken, dict) else broken)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(
            pod_spec(
                *(volume(f"v{i}", emptyDir={}) for i in range(MOST_VOLUMES + 1)), containers=[]
            ),
            id="one volume too many",
        ),
        pytest.param(
            pod_spec(containers=[container(*(mount(at=f"/{i}") for i in range(MOST_MOUNTS + 1)))]),
            id="one mount too many",
        ),
    ],
)
def test_a_pod_that_would_take_too_long_is_refused(spec: Object) -> None:
    with pytest.raises(LimitExceeded):
        read(spec)


def test_a_pod_at_the_limits_is_read() -> None:
    spec = pod_spec(
        *(volume(f"v{i}", emptyDir={}) for i in range(MOST_VOLUMES)),
        containers=[container(*(mount("v0", at=f"/{i}") for i in range(MOST_MOUNTS)))],
    )
    assert len(read(spec).mounts) == MOST_MOUNTS + MOST_VOLUMES - 1


def test_fields_that_nobody_knows_are_listed_with_their_place() -> None:
    spec = pod_spec(
        containers=[
            container(
                mount(through="a wormhole"),
                volumeDevices=[{"name": "model", "devicePath": "/d", "slice": 1}],
                teleport=True,
            )
        ],
        modelMounts=[],
    )
    assert read(spec).unknown_fields == (
        "container.teleport",
        "spec.modelMounts",
        "volumeMount.slice",
        "volumeMount.through",
    )


def test_what_breaks_the_walls_between_containers_is_read() -> None:
    spec = pod_spec(
        containers=[
            container(name="a", securityContext={"privileged": True}),
            container(
                name="b",
                securityContext={
                    "capabilities": {"add": ["cap_sys_ptrace", "NET_RAW", "SYS_ADMIN"]}
                },
            ),
        ],
        hostPID=True,
        shareProcessNamespace=True,
        runtimeClassName="kata",
        nodeName="node-1",
        resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
    )
    found = read(spec, **{"cdi.k8s.io/x": "vendor.com/device=all", "other": ""})
    assert (found.host_pid, found.shares_processes) == (True, True)
    assert [(each.privileged, each.capabilities) for each in found.containers] == [
        (True, ()),
        (False, ("SYS_ADMIN", "SYS_PTRACE")),
    ]
    assert (found.runtime_class, found.node_name) == ("kata", "node-1")
    assert found.device_claims == (DeviceClaim("gpu", "", "one-gpu"),)
    assert found.injecting_annotations == ("cdi.k8s.io/x",)


def test_a_claim_that_a_container_uses_and_the_pod_declares_is_read() -> None:
    spec = pod_spec(
        containers=[container(resources={"claims": [{"name": "gpu"}]})],
        resourceClaims=[{"name": "gpu", "resourceClaimName": "mine"}],
    )
    assert read(spec).device_claims == (DeviceClaim("gpu", "mine", ""),)


@pytest.mark.parametrize(
    ("fields", "windows"),
    [
        pytest.param({}, False, id="no system named"),
        pytest.param({"os": {"name": "linux"}}, False, id="os linux"),
        pytest.param({"os": {"name": "windows"}}, True, id="os windows"),
        pytest.param({"nodeSelector": {"kubernetes.io/os": "windows"}}, True, id="windows nodes"),
        pytest.param(
            {"securityContext": {"windowsOptions": {"hostProcess": True}}}, True, id="its options"
        ),
        pytest.param(
            {"initContainers": [container(securityContext={"windowsOptions": {"a": 1}})]},
            True,
            id="an init container's options",
        ),
        pytest.param(
            {"containers": [container(), container(securityContext={"windowsOptions": {"a": 1}})]},
            True,
            id="a container's options",
        ),
        pytest.param({"nodeSelector": {"beta.kubernetes.io/os": "windows"}}, True, id="old label"),
        pytest.param({"nodeSelector": {"kubernetes.io/os": "linux"}}, False, id="linux nodes"),
    ],
)
def test_windows_pods_are_recognised(fields: Object, windows: bool) -> None:
    assert read(pod_spec(**fields)).is_windows is windows


@pytest.mark.parametrize(
    ("volumes", "has_storage"),
    [
        pytest.param([], False, id="none"),
        pytest.param([volume("s", emptyDir={}), volume("c", configMap={})], False, id="scratch"),
        pytest.param([claim_volume("m"), volume("s", emptyDir={})], True, id="a claim first"),
        pytest.param([volume("s", emptyDir={}), claim_volume("m")], True, id="a claim last"),
        pytest.param([volume("s", tapeRobot={})], True, id="nobody knows"),
    ],
)
def test_one_volume_that_could_bring_a_model_is_storage(
    volumes: list[Object], has_storage: bool
) -> None:
    spec = pod_spec(containers=[container()]) | {"volumes": volumes}
    assert read(spec).has_storage is has_storage


@pytest.mark.parametrize(
    ("reference", "digest"),
    [
        pytest.param("r/x@sha256:" + "a" * 64, "sha256:" + "a" * 64, id="by digest"),
        pytest.param("r/x:v1@sha256:" + "a" * 64, "sha256:" + "a" * 64, id="and tag"),
        pytest.param("r/x:v1", "", id="by tag"),
        pytest.param("r/x@sha256:" + "a" * 63, "", id="cut short"),
        pytest.param("r/x@sha256:" + "a" * 65, "", id="too long"),
        pytest.param("r/x@sha256:" + "A" * 64, "", id="in capitals"),
        pytest.param("r/x@sha512:" + "a" * 64, "", id="by another hash"),
        pytest.param("a" * 64, "", id="digits alone"),
        pytest.param("@sha256:" + "a" * 64, "", id="without a name"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_an_image_is_told_by_its_whole_digest(reference: str, digest: str) -> None:
    assert image_digest(reference) == digest


def test_claims_of_pod_and_containers_are_counted_together() -> None:
    def claims(of_pod: int, of_container: int) -> Object:
        entries = [{"name": "c", "resourceClaimName": "x"}] * of_pod
        used = {"claims": [{"name": "c"}] * of_container}
        return pod_spec(containers=[container(resources=used)], resourceClaims=entries)

    read(claims(MOST_MOUNTS - 24, 24))
    with pytest.raises(LimitExceeded, match="resource claims"):
        read(claims(MOST_MOUNTS - 24, 25))


def test_only_an_init_container_can_be_a_sidecar() -> None:
    always = container(restartPolicy="Always")
    found = read(pod_spec(containers=[always], initContainers=[{**always, "name": "i"}]))
    assert [each.name.role for each in found.containers] == [Role.SIDECAR, Role.MAIN]


def affinity(*terms: Object) -> Object:
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}
        }
    }


def host_in(*names: str) -> Object:
    return {"key": "kubernetes.io/hostname", "operator": "In", "values": list(names)}


def node_in(*names: str) -> Object:
    return {"key": "metadata.name", "operator": "In", "values": list(names)}


@pytest.mark.parametrize(
    ("fields", "nodes"),
    [
        pytest.param({}, None, id="any node"),
        pytest.param({"nodeName": "a"}, {"a"}, id="nodeName"),
        pytest.param({"nodeSelector": {"kubernetes.io/hostname": "a"}}, {"a"}, id="nodeSelector"),
        pytest.param({"nodeSelector": {"zone": "a"}}, None, id="a selector of something else"),
        pytest.param(
            {"affinity": affinity({"matchExpressions": [host_in("a", "b")]})},
            {"a", "b"},
            id="affinity to host names",
        ),
        pytest.param(
            {"affinity": affinity({"matchFields": [node_in("a")]})},
            {"a"},
            id="affinity to a node's name",
        ),
        pytest.param(
            {
                "affinity": affinity(
                    {"matchFields": [node_in("a")]}, {"matchExpressions": [host_in("b")]}
                )
            },
            {"a", "b"},
            id="either of two terms",
        ),
        pytest.param(
            {"affinity": affinity({"matchFields": [node_in("a")]}, {"matchExpressions": []})},
            None,
            id="one open term opens all",
        ),
        pytest.param(
            {"affinity": affinity({"matchExpressions": [host_in("a", "b"), host_in("b", "c")]})},
            {"b"},
            id="both of two expressions",
        ),
        pytest.param(
            {
                "affinity": affinity(
                    {
                        "matchExpressions": [
                            {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["a"]}
                        ]
                    }
                )
            },
            None,
            id="not on a node is open",
        ),
        pytest.param(
            {"affinity": affinity({"matchExpressions": [{**host_in("a"), "key": "zone"}]})},
            None,
            id="a zone that has the name of a node",
        ),
        pytest.param(
            {
                "affinity": affinity(
                    {"matchExpressions": [{**host_in("a"), "key": "zone"}, host_in("b")]}
                )
            },
            {"b"},
            id="a zone beside a node",
        ),
        pytest.param(
            {"affinity": affinity({"matchFields": [{**node_in("a"), "key": "metadata.x"}]})},
            None,
            id="affinity to another field",
        ),
        pytest.param({"affinity": affinity()}, None, id="no term at all"),
        pytest.param(
            {
                "nodeName": "a",
                "nodeSelector": {"kubernetes.io/hostname": "b"},
            },
            set(),
            id="a contradiction leaves none",
        ),
        pytest.param({"affinity": {"podAffinity": {}}}, None, id="affinity to pods is open"),
    ],
)
def test_the_nodes_that_a_pod_is_pinned_to(fields: Object, nodes: set[str] | None) -> None:
    expected = None if nodes is None else frozenset(nodes)
    assert read(pod_spec(**fields)).pinned_nodes == expected


def test_a_container_lists_what_may_cover_other_mounts() -> None:
    spec = pod_spec(
        containers=[
            container(mount(at="/m/"), mount(at="/a/../b"), terminationMessagePath="/m/config.json")
        ]
    )
    points = [cover.point for cover in read(spec).containers[0].covers]
    assert points == [path_of("/m"), None, path_of("/m/config.json")]


def test_the_termination_message_has_its_usual_place() -> None:
    covers = read(pod_spec(containers=[container()])).containers[0].covers
    assert [str(cover.point) for cover in covers] == ["/dev/termination-log"]


def test_metadata_may_be_missing_in_a_template() -> None:
    assert pod_of(None, pod_spec()).injecting_annotations == ()
