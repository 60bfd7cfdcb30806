"""Keys and plain mappings for policies. The keys are well-formed and nobody's."""

import copy
import hashlib
from datetime import UTC, datetime

from weightlock.algorithms import ED25519, ML_DSA_65, ML_DSA_87, SLH_DSA, SignatureAlgorithm
from weightlock.formats.spki import PublicKeyInfo, public_key_info_of_raw
from weightlock.policy.objects import Policy
from weightlock.policy.spec import PolicySpec

Json = dict[str, object]

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
API_VERSION = "weightlock.dev/v1beta1"


def key(label: str, algorithm: SignatureAlgorithm = ML_DSA_65) -> PublicKeyInfo:
    """The key of a label: the same each time."""
    assert algorithm.public_key_bytes is not None
    seed = f"{algorithm}/{label}".encode()
    raw = hashlib.shake_256(seed).digest(algorithm.public_key_bytes)
    return public_key_info_of_raw(algorithm, raw)


PQ = key("release")
PQ_TOO = key("second", ML_DSA_87)
HASH_BASED = key("archive", SLH_DSA[0])
EC = key("legacy", ED25519)
EC_TOO = key("older", ED25519)


def authority(name: str, public: PublicKeyInfo, **more: object) -> Json:
    return {
        "name": name,
        "algorithm": public.algorithm.name,
        "publicKey": public.pem,
        **more,
    }


def rule(name: str, *authorities: str, **more: object) -> Json:
    return {"name": name, "authorities": list(authorities), **more}


def signatures(*authorities: Json, rules: list[Json] | None = None, **more: object) -> Json:
    found = list(authorities) or [authority("release", PQ)]
    names = [str(each["name"]) for each in found]
    return {"authorities": found, "rules": rules or [rule("all", *names)], **more}


def spec(**more: object) -> Json:
    """The smallest policy, and whatever else it should say."""
    return {"signatures": signatures(), **more}


def replaced(mapping: Json, path: str, value: object) -> Json:
    """A copy with one field set, for example `signatures.rules.0.atLeast`."""
    result = copy.deepcopy(mapping)
    *parents, last = path.split(".")
    target: object = result
    for step in parents:
        target = step_into(target, step)
    if isinstance(target, list):
        target[int(last)] = value
    else:
        assert isinstance(target, dict)
        target[last] = value
    return result


def step_into(target: object, step: str) -> object:
    if isinstance(target, list):
        return target[int(step)]
    assert isinstance(target, dict)
    return target.setdefault(step, {})


def policy_object(name: str = "post-quantum", namespace: str = "", /, **more: object) -> Json:
    metadata: Json = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelPolicy" if namespace else "ClusterModelPolicy",
        "metadata": metadata,
        "spec": spec(**more),
    }


def policy(name: str = "post-quantum", namespace: str = "", /, **more: object) -> Policy:
    return Policy.from_object(policy_object(name, namespace, **more))


def policy_spec(**more: object) -> PolicySpec:
    return PolicySpec.from_spec(spec(**more))


EVERYTHING: Json = {
    "enforcement": "Enforce",
    "onUnverified": "Hold",
    "onFailure": "Evict",
    "namespaceSelector": {
        "matchLabels": {"team": "research"},
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}],
    },
    "volumes": {
        "default": "Verify",
        "rules": [
            {"persistentVolumeClaim": {"storageClassNames": ["scratch"]}, "action": "Ignore"},
            {"hostPath": {"paths": ["/mnt/models"]}, "action": "Verify"},
            {"nfs": {"servers": ["files.example"], "paths": ["/export"]}, "action": "Forbid"},
            {"csi": {"drivers": ["csi.example"]}, "action": "Forbid"},
            {"image": {"references": ["registry.example/models/*"]}, "action": "Verify"},
            {"emptyDir": {}, "action": "Ignore"},
        ],
    },
    "signatures": signatures(
        authority(
            "release",
            PQ,
            notBefore="2026-01-01T00:00:00Z",
            notAfter="2028-01-01T00:00:00Z",
            models=["llama-*"],
        ),
        authority("legacy", EC),
        rules=[rule("hybrid", "release", "legacy", atLeast=2)],
        classical={"action": "Warn", "sunset": "2027-01-01T00:00:00Z"},
    ),
    "digests": {"allowed": ["sha256", "sha512"]},
    "denied": {"digests": ["sha256:" + "ab" * 32], "keyids": ["cd" * 32]},
    "rollback": {"floors": [{"models": ["llama-*"], "version": 7}]},
    "freshness": {"maxAge": "24h"},
    "mounts": {"readOnly": "Optional"},
    "verification": {
        "device": {
            "resource": "nvidia.com/gpu",
            "count": 2,
            "fallback": {"device": "cpu", "after": "5m"},
        },
        "placement": "Anywhere",
        "nodeSelector": {"gpu": "h100"},
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "team", "value": "research", "effect": "NoExecute", "tolerationSeconds": 60},
        ],
        "priorityClassName": "verification",
        "queueName": "models",
        "limits": {
            "deadline": "1h30m",
            "retries": 0,
            "perNamespace": 1,
            "total": 2,
            "maxFiles": 10,
            "maxBytes": "20Ti",
            "maxShards": 4,
        },
    },
    "autoRegister": True,
}
