"""Folders of nodes that no rule opens, each with a neighbour that a rule may open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.policy.host_paths import (
    FORBIDDEN_HOST_PATHS,
    PROVISIONED_HOST_PATHS,
    leads_to_other_pods,
)
from weightlock.policy.paths import VolumePath

PATHS = st.lists(
    st.sampled_from(["var", "lib", "rancher", "k3s", "storage", "kubelet", "data", "a"]), max_size=6
).map(lambda parts: VolumePath(tuple(parts)))


def path(text: str) -> VolumePath:
    return VolumePath.parse(text)


@pytest.mark.parametrize(
    ("refused", "open_to_rules"),
    [
        pytest.param("/var/lib/kubelet/pods/x/volumes", "/var/lib/kubelet-other", id="kubelet"),
        pytest.param("/var/lib", "/var/models", id="what is above"),
        pytest.param("/", "/models", id="the root"),
        pytest.param("/proc/1/root", "/process", id="processes"),
        pytest.param("/run/containerd", "/runs", id="sockets"),
        pytest.param("/etc/kubernetes/manifests", "/etc/models", id="static pods"),
        pytest.param("/etc", "/etcetera", id="above static pods"),
        pytest.param("/var/lib/k0s/kubelet", "/var/openebs/local", id="k0s"),
        pytest.param("/var/lib/rancher/k3s/agent", "/var/lib/rancher/k3s/storage/x", id="k3s"),
        pytest.param("/var/lib/rancher/k3s", "/var/lib/rancher/k3s/storage", id="above k3s's own"),
        pytest.param("/var/lib/rancher/rke2/agent", "/opt/local-path-provisioner", id="RKE2"),
        pytest.param(
            "/var/snap/microk8s/common/var/lib/kubelet",
            "/var/snap/microk8s/common/default-storage/x",
            id="MicroK8s",
        ),
        pytest.param("/var/snap/microk8s/8511/credentials", "/var/snap/lxd", id="its credentials"),
        pytest.param(
            "/mnt/stateful_partition/var/lib/kubelet", "/mnt/disks/ssd0", id="Container-Optimized"
        ),
        pytest.param("/local/var/lib/kubelet", "/local/models", id="Bottlerocket"),
        pytest.param("/sysroot/ostree/deploy/x/var/lib/kubelet", "/sys2", id="CoreOS"),
        pytest.param("/mnt/k8s-disks/0/kubelet", "/mnt/k8s-disks/1", id="EKS on local disks"),
        pytest.param("/mnt/aks/kubelet", "/mnt/models", id="AKS on the temporary disk"),
        pytest.param("/var/data/kubelet", "/var/data/models", id="IBM Cloud"),
        pytest.param("/var/vcap/data/kubelet", "/var/models", id="TKGI"),
    ],
)
def test_back_doors_are_closed_and_their_neighbours_are_not(
    refused: str, open_to_rules: str
) -> None:
    assert leads_to_other_pods(path(refused))
    assert not leads_to_other_pods(path(open_to_rules))


def test_whoever_runs_the_cluster_closes_more() -> None:
    assert not leads_to_other_pods(path("/data/kubelet/pods"))
    assert leads_to_other_pods(path("/data/kubelet/pods"), [path("/data/kubelet")])
    assert leads_to_other_pods(path("/data"), [path("/data/kubelet")])
    assert not leads_to_other_pods(path("/data/models"), [path("/data/kubelet")])


def test_even_what_is_open_by_itself() -> None:
    storage = path("/var/lib/rancher/k3s/storage")
    assert leads_to_other_pods(storage, [storage])


@given(PATHS, st.lists(PATHS, max_size=3), PATHS)
def test_more_folders_refuse_no_less(
    found: VolumePath, further: list[VolumePath], one_more: VolumePath
) -> None:
    if leads_to_other_pods(found, further):
        assert leads_to_other_pods(found, [*further, one_more])


@given(PATHS)
def test_what_holds_a_refused_folder_is_refused(found: VolumePath) -> None:
    if leads_to_other_pods(found):
        for end in range(len(found.components)):
            assert leads_to_other_pods(VolumePath(found.components[:end]))


def test_each_exception_lies_in_a_folder_that_is_refused() -> None:
    for each in PROVISIONED_HOST_PATHS:
        assert any(folder.covers(each) for folder in FORBIDDEN_HOST_PATHS)
