"""Options that the commands for clusters share."""

import argparse

from weightlock.policy import scalars
from weightlock_webhook.kubectl.cluster import Cluster
from weightlock_webhook.kubectl.connection import connect


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """-n, --kubeconfig, --context, --as, --json."""
    parser.add_argument(
        "-n", "--namespace", help="the namespace (default: that of the kubeconfig's context)"
    )
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="whom to ask, and as whom (default: as kubectl does)"
    )
    parser.add_argument("--context", metavar="NAME", help="the kubeconfig's context")
    parser.add_argument(
        "--as", dest="impersonated", metavar="USER", help="ask as another user, as kubectl does"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def cluster_of(args: argparse.Namespace) -> Cluster:
    """The cluster that the arguments, or else the kubeconfig, name.

    Raises:
        ClusterTrouble: if there is none.
    """
    return connect(args.kubeconfig, args.context, args.impersonated)


def namespace_of(args: argparse.Namespace, cluster: Cluster) -> str:
    """The namespace that was named, else the context's.

    Raises:
        Malformed: for what is no name.
    """
    return scalars.name(args.namespace or cluster.namespace)
