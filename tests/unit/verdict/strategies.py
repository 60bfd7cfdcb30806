"""Policies, evidence, volumes and records for laws: mostly good, with something wrong here."""

from datetime import timedelta

from hypothesis import strategies as st
from tests.unit.policy.builders import (
    EC,
    EC_TOO,
    HASH_BASED,
    NOW,
    PQ,
    PQ_TOO,
    Json,
    authority,
    policy,
    signatures,
)
from tests.unit.verdict.facts import MODEL, ROOT

from weightlock.digests import Digest, HashAlgorithm
from weightlock.policy.checkpoints import RecordedSignature, VolumeStatus
from weightlock.policy.objects import Policy
from weightlock.policy.paths import VolumePath
from weightlock.policy.spec import Enforcement, OnFailure, OnUnverified, ReadOnly
from weightlock.policy.volumes import VolumeAction, VolumeFacts, VolumeRule, Volumes
from weightlock.reasons import Reason
from weightlock.verdict.evidence import Evidence, Finding, ModelIdentity, SignatureFact, Signer
from weightlock.verdict.judge import Expected
from weightlock.verdict.records import VerdictRecord

KEYS = {"release": PQ, "second": PQ_TOO, "archive": HASH_BASED, "legacy": EC, "older": EC_TOO}
POST_QUANTUM = {"release", "second", "archive"}
TIMES = ["2026-01-01T00:00:00Z", "2026-11-21T12:00:00Z", "2027-01-01T00:00:00Z"]
INSTANTS = [NOW - timedelta(days=365), NOW, NOW + timedelta(hours=1), NOW + timedelta(days=99)]


@st.composite
def authorities(draw: st.DrawFn) -> list[Json]:
    names = draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=4, unique=True))
    found = []
    for name in names:
        more: Json = {}
        if draw(st.integers(0, 4)) == 0:
            more["notAfter"] = draw(st.sampled_from(TIMES))
        if draw(st.integers(0, 5)) == 0:
            more["models"] = [draw(st.sampled_from(["llama-*", "gpt-*"]))]
        found.append(authority(name, KEYS[name], **more))
    return found


@st.composite
def rules(draw: st.DrawFn, names: list[str]) -> list[Json]:
    found: list[Json] = []
    for number in range(draw(st.integers(1, 2))):
        members = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        least = draw(st.integers(1, len(members)))
        found.append({"name": f"rule-{number}", "authorities": members, "atLeast": least})
    return found


@st.composite
def policies(draw: st.DrawFn, name: str = "a") -> Policy:
    trusted = draw(authorities())
    demanded = draw(rules([str(each["name"]) for each in trusted]))
    may_enforce = all(POST_QUANTUM & set(map(str, _members(each))) for each in demanded)
    words = list(Enforcement) if may_enforce else [Enforcement.WARN, Enforcement.AUDIT]
    classical: Json = {}
    if draw(st.booleans()):
        classical = {"action": "Warn", "sunset": draw(st.sampled_from(TIMES))}
    more: Json = {
        "enforcement": draw(st.sampled_from(words)).value,
        "onUnverified": draw(st.sampled_from(OnUnverified)).value,
        "onFailure": draw(st.sampled_from(OnFailure)).value,
        "mounts": {"readOnly": draw(st.sampled_from(ReadOnly)).value},
        "freshness": {"maxAge": draw(st.sampled_from(["1h", "24h", "168h"]))},
        "volumes": {"default": draw(st.sampled_from(VolumeAction)).value},
        "verification": {"limits": {"total": draw(st.integers(1, 9))}},
    }
    if draw(st.integers(0, 4)) == 0:
        more["denied"] = {"keyids": [KEYS[draw(st.sampled_from(sorted(KEYS)))].keyid]}
    if draw(st.integers(0, 5)) == 0:
        more["digests"] = {"allowed": ["sha512"]}
    if draw(st.integers(0, 5)) == 0:
        more["rollback"] = {"floors": [{"models": ["llama-*"], "version": 8}]}
    return policy(
        name, signatures=signatures(*trusted, rules=demanded, classical=classical), **more
    )


def _members(rule: Json) -> list[object]:
    members = rule["authorities"]
    assert isinstance(members, list)
    return members


@st.composite
def some_policies(draw: st.DrawFn, minimum: int = 1) -> list[Policy]:
    count = draw(st.integers(minimum, 3))
    return [draw(policies(name)) for name in ("a", "b", "c")[:count]]


any_policy = st.sampled_from(["0", "z"]).flatmap(policies)
"""One that comes before or after those of some_policies, in the order that a judge puts them."""

BAD = [Reason.CONTENT_MISMATCH, Reason.EXTRA_FILE, Reason.MALFORMED]
UNKNOWN = [Reason.UNREADABLE, Reason.CHANGED_WHILE_READING, Reason.NETWORK_REQUIRED]
findings = st.builds(
    Finding,
    st.sampled_from([*BAD, *UNKNOWN, Reason.VERIFIED]),
    st.just("weights.bin"),
    st.just("x"),
)


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Mostly good, so that laws about passing are about something."""
    signed = draw(st.lists(st.sampled_from(sorted(KEYS)), max_size=5, unique=True))
    facts = [SignatureFact(KEYS[name].keyid, KEYS[name].algorithm, True, True) for name in signed]
    listed = tuple(Signer(KEYS[name].algorithm, KEYS[name].keyid) for name in signed)
    if draw(st.integers(0, 5)) == 0:
        facts.append(draw(odd_facts))
    if facts and draw(st.integers(0, 5)) == 0:
        facts.pop(0)
    trouble = draw(st.lists(findings, max_size=2)) if draw(st.integers(0, 4)) == 0 else []
    return Evidence(
        tuple(facts),
        listed if draw(st.integers(0, 3)) else (),
        None if draw(st.integers(0, 7)) == 0 else MODEL,
        None if draw(st.integers(0, 7)) == 0 else ROOT,
        tuple(trouble),
        content_compared=draw(st.integers(0, 7)) != 0,
    )


odd_facts = st.builds(
    SignatureFact,
    st.sampled_from([*(key.keyid for key in KEYS.values()), "", "77" * 32]),
    st.sampled_from([PQ.algorithm, EC.algorithm, None]),
    st.sampled_from([True, False, None]),
    st.booleans(),
)
expectations = st.builds(
    Expected, st.sampled_from([None, None, "llama-70b", "gpt"]), st.sampled_from([0, 7, 8])
)
instants = st.sampled_from(INSTANTS)


KINDS = ["hostPath", "nfs", "persistentVolumeClaim"]
paths = st.builds(VolumePath, st.lists(st.sampled_from("ab"), max_size=3).map(tuple))
some_names = st.lists(st.sampled_from(["x", "y", "*"]), max_size=2).map(tuple)
volume_facts = st.builds(
    VolumeFacts,
    st.sampled_from([*KINDS, "unheard-of"]),
    storage_class=st.sampled_from([None, "x", "y"]),
    path=st.none() | paths,
    server=st.sampled_from([None, "x", "y"]),
)
volume_rules = st.builds(
    VolumeRule,
    st.sampled_from(KINDS),
    st.sampled_from(VolumeAction),
    storage_classes=some_names,
    paths=st.lists(paths, max_size=2).map(tuple),
    servers=some_names,
)
volumes = st.builds(
    Volumes, st.sampled_from(VolumeAction), st.lists(volume_rules, max_size=4).map(tuple)
)
seconds = st.integers(0, 10**9).map(lambda number: timedelta(seconds=number))
moments = st.builds(
    lambda some, more: NOW + some + timedelta(microseconds=more), seconds, st.sampled_from([0, 1])
)


words = st.text("ab", max_size=2)
recorded = st.builds(
    RecordedSignature,
    st.sampled_from([PQ.algorithm, EC.algorithm]),
    st.sampled_from([PQ.keyid, EC.keyid]),
)
records = st.builds(
    VerdictRecord,
    checkpoint_uid=words,
    generation=st.integers(0, 11),
    volume=st.builds(VolumeStatus, words, words, words, words, paths),
    digest=st.none() | st.builds(Digest, st.just(HashAlgorithm.SHA256), st.just(b"\x01" * 32)),
    signatures=st.lists(recorded, max_size=2).map(tuple),
    model=st.none() | st.builds(ModelIdentity, st.sampled_from(["a", "b1"]), st.integers(0, 11)),
    policy_hash=words,
    verifier_image=words,
    verified_at=moments,
)
