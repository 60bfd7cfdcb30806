"""Records, seals, and when a verdict is stale."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from tests.unit.policy.builders import EC, NOW, PQ, policy
from tests.unit.policy.test_checkpoints import CHECKPOINT
from tests.unit.verdict.facts import MODEL, ROOT

from weightlock.digests import Digest, HashAlgorithm
from weightlock.errors import KeyUnusable
from weightlock.policy.checkpoints import Checkpoint, RecordedSignature, VolumeStatus
from weightlock.policy.paths import VolumePath
from weightlock.policy.requirements import SignatureRequirements
from weightlock.reasons import Reason, Verdict
from weightlock.verdict.evidence import ModelIdentity
from weightlock.verdict.judge import judge
from weightlock.verdict.records import VerdictRecord, record_of, status_of
from weightlock.verdict.seal import SealKey, encoded, seal, seal_intact
from weightlock.verdict.staleness import CLOCK_SKEW, Current, stale

KEY, NEXT_KEY = SealKey(b"k" * 32), SealKey(b"n" * 64)
VOLUME = VolumeStatus("c-1", "pv-1", "v-1", "ef" * 32, VolumePath(("step-1200",)))
RECORD = VerdictRecord(
    checkpoint_uid="u-1",
    generation=3,
    volume=VOLUME,
    digest=ROOT,
    signatures=(RecordedSignature(PQ.algorithm, PQ.keyid),),
    model=MODEL,
    policy_hash="01" * 32,
    verifier_image="registry.example/weightlock@sha256:" + "00" * 32,
    verified_at=NOW,
)
SEAL = seal(RECORD, KEY)

CHANGES = [
    pytest.param(replace(RECORD, checkpoint_uid="u-2"), id="another checkpoint"),
    pytest.param(replace(RECORD, generation=4), id="another generation"),
    pytest.param(replace(RECORD, volume=replace(VOLUME, pvc_uid="c-2")), id="another claim"),
    pytest.param(replace(RECORD, volume=replace(VOLUME, pv_name="pv-2")), id="another volume name"),
    pytest.param(replace(RECORD, volume=replace(VOLUME, pv_uid="v-2")), id="another volume"),
    pytest.param(replace(RECORD, volume=replace(VOLUME, source_hash="x")), id="another backing"),
    pytest.param(replace(RECORD, volume=replace(VOLUME, path=VolumePath())), id="another path"),
    pytest.param(
        replace(RECORD, volume=replace(VOLUME, pvc_uid="c-1pv-1", pv_name="")), id="moved borders"
    ),
    pytest.param(replace(RECORD, digest=None), id="no root"),
    pytest.param(
        replace(RECORD, digest=Digest(HashAlgorithm.SHA3_256, ROOT.value)), id="another hash"
    ),
    pytest.param(
        replace(RECORD, digest=Digest(HashAlgorithm.SHA256, bytes(32))), id="another root"
    ),
    pytest.param(replace(RECORD, signatures=()), id="no signature"),
    pytest.param(replace(RECORD, signatures=RECORD.signatures * 2), id="a signature twice"),
    pytest.param(
        replace(RECORD, signatures=(RecordedSignature(EC.algorithm, PQ.keyid),)),
        id="another algorithm",
    ),
    pytest.param(
        replace(RECORD, signatures=(RecordedSignature(PQ.algorithm, EC.keyid),)), id="another key"
    ),
    pytest.param(replace(RECORD, model=None), id="no model"),
    pytest.param(replace(RECORD, model=ModelIdentity("llama-7b", 7)), id="another model"),
    pytest.param(replace(RECORD, model=ModelIdentity("llama-70b", 8)), id="another version"),
    pytest.param(replace(RECORD, policy_hash=""), id="another policy"),
    pytest.param(replace(RECORD, verifier_image=""), id="another verifier"),
    pytest.param(
        replace(RECORD, verified_at=NOW + timedelta(microseconds=1)), id="another instant"
    ),
]


def test_a_seal_is_intact_under_its_key() -> None:
    assert seal_intact(RECORD, SEAL, [KEY])


def test_keys_can_rotate() -> None:
    assert seal_intact(RECORD, SEAL, [NEXT_KEY, KEY])
    assert seal_intact(RECORD, seal(RECORD, NEXT_KEY), [KEY, NEXT_KEY])
    assert not seal_intact(RECORD, SEAL, [NEXT_KEY])


def test_no_key_makes_no_seal_intact() -> None:
    assert not seal_intact(RECORD, SEAL, [])


@pytest.mark.parametrize("changed", CHANGES)
def test_a_seal_is_of_every_field(changed: VerdictRecord) -> None:
    assert not seal_intact(changed, SEAL, [KEY])
    assert seal_intact(changed, seal(changed, KEY), [KEY])


VERSION, KEYID, TAG = SEAL.split(":")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1",
        "v1::",
        f"{VERSION}:{KEYID}:",
        f"{VERSION}:{KEYID}:{TAG[:-1]}",
        f"{VERSION}:{KEYID}:{TAG}0",
        f"{VERSION}:{KEYID}:{TAG.upper()}",
        f"{VERSION}:{KEYID}:{TAG} ",
        f"{VERSION}:{KEYID}:{TAG}\n",
        f"v2:{KEYID}:{TAG}",
        f"{VERSION}:{NEXT_KEY.keyid}:{TAG}",
        f"{VERSION}:{KEYID}:{'0' * 64}",
        f"{VERSION}:{KEYID}:{'é' * 64}",
        TAG,
    ],
)
def test_a_seal_that_is_none_is_not_intact(text: str) -> None:
    assert not seal_intact(RECORD, text, [KEY, NEXT_KEY])


@pytest.mark.parametrize("secret", [b"", b"k" * 31])
def test_a_short_key_is_no_key(secret: bytes) -> None:
    with pytest.raises(KeyUnusable):
        SealKey(secret)


def test_a_seal_key_does_not_show_itself() -> None:
    assert "kkkk" not in repr(KEY)
    assert KEY.keyid != NEXT_KEY.keyid


def test_an_instant_is_sealed_and_not_its_time_zone() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert encoded(replace(RECORD, verified_at=elsewhere)) == encoded(RECORD)


def test_a_text_without_utf8_can_be_sealed() -> None:
    odd = replace(RECORD, policy_hash=chr(0xD800))
    assert seal_intact(odd, seal(odd, KEY), [KEY])


def checkpoint(record: VerdictRecord, **more: object) -> Checkpoint:
    status = {"phase": "Verified", **status_of(record), **more}
    return Checkpoint.from_object({**CHECKPOINT, "status": status})


@pytest.mark.parametrize("record", [RECORD, replace(RECORD, digest=None, model=None)])
def test_a_record_survives_the_status_that_carries_it(record: VerdictRecord) -> None:
    assert record_of(checkpoint(record)) == record


@pytest.mark.parametrize("phase", ["Failed", "Error", "Pending", "Verifying", "Stale"])
def test_only_what_passed_has_a_record(phase: str) -> None:
    assert record_of(checkpoint(RECORD, phase=phase)) is None
    assert record_of(checkpoint(RECORD, phase="ClassicalOnly")) == RECORD


def test_a_status_without_time_or_without_anything_has_no_record() -> None:
    assert record_of(Checkpoint.from_object(CHECKPOINT)) is None
    assert (
        record_of(Checkpoint.from_object({**CHECKPOINT, "status": {"phase": "Verified"}})) is None
    )


@pytest.mark.parametrize("half", [{"modelName": None}, {"modelVersion": None}], ids=str)
def test_half_a_model_is_none(half: dict[str, None]) -> None:
    whole = checkpoint(RECORD)
    assert whole.status is not None
    told = {"modelName": "model_name", "modelVersion": "model_version"}
    changes: dict[str, Any] = {told[key]: value for key, value in half.items()}
    found = record_of(replace(whole, status=replace(whole.status, **changes)))
    assert found == replace(RECORD, model=None)


def test_a_forged_status_is_not_believed() -> None:
    claimed = record_of(checkpoint(replace(RECORD, digest=Digest(HashAlgorithm.SHA256, bytes(32)))))
    assert claimed is not None
    assert not seal_intact(claimed, SEAL, [KEY])


def test_recorded_signatures_are_judged_under_the_policy_of_today() -> None:
    trusted = SignatureRequirements.of_policy(policy())
    removed = SignatureRequirements.of_keys([EC])
    denied = SignatureRequirements.of_policy(policy(denied={"keyids": [PQ.keyid]}))
    assert judge(RECORD.evidence, [trusted], NOW).verdict is Verdict.VERIFIED
    assert judge(RECORD.evidence, [trusted, removed], NOW).reason is Reason.SIGNER_UNTRUSTED
    assert judge(RECORD.evidence, [denied], NOW).reason is Reason.KEY_REVOKED
    assert judge(replace(RECORD, signatures=()).evidence, [trusted], NOW).reason is Reason.UNSIGNED


CURRENT = Current("u-1", 3, VOLUME)
DAY = timedelta(days=1)


def reasons(
    current: Current = CURRENT, sealed: str = SEAL, now: datetime = NOW, max_age: timedelta = DAY
) -> list[str]:
    found = stale(RECORD, sealed, [KEY], current, max_age=max_age, now=now)
    assert all(each.message.isprintable() and each.hint for each in found)
    return [each.reason.value for each in found]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(reasons(), [], id="nothing changed"),
        pytest.param(reasons(sealed="v1:forged"), ["SealBroken"], id="a forged status"),
        pytest.param(
            reasons(replace(CURRENT, checkpoint_uid="u-2")), ["SpecChanged"], id="another object"
        ),
        pytest.param(reasons(replace(CURRENT, generation=4)), ["SpecChanged"], id="an edited spec"),
        pytest.param(
            reasons(replace(CURRENT, volume=replace(VOLUME, pvc_uid="c-2"))),
            ["IdentityChanged"],
            id="a recreated claim",
        ),
        pytest.param(
            reasons(replace(CURRENT, volume=replace(VOLUME, source_hash="00" * 32))),
            ["IdentityChanged"],
            id="another volume handle",
        ),
        pytest.param(
            reasons(replace(CURRENT, volume=None)), ["IdentityChanged"], id="a claim that is gone"
        ),
        pytest.param(
            reasons(replace(CURRENT, writer_seen_at=NOW + DAY / 2)), ["WriterSeen"], id="a writer"
        ),
        pytest.param(
            reasons(replace(CURRENT, writer_seen_at=NOW - CLOCK_SKEW)),
            ["WriterSeen"],
            id="a writer just before, by a clock that may be behind",
        ),
        pytest.param(
            reasons(replace(CURRENT, writer_seen_at=NOW - CLOCK_SKEW - timedelta(seconds=1))),
            [],
            id="a writer before",
        ),
        pytest.param(
            reasons(replace(CURRENT, restored_at=NOW)), ["RestoredFromBackup"], id="a restore"
        ),
        pytest.param(
            reasons(replace(CURRENT, restored_at=NOW - timedelta(seconds=1))),
            [],
            id="a restore before",
        ),
        pytest.param(reasons(now=NOW + DAY), ["VerdictExpired"], id="maxAge, to the second"),
        pytest.param(reasons(now=NOW + DAY - timedelta(seconds=1)), [], id="just before maxAge"),
        pytest.param(
            reasons(max_age=timedelta(0)), ["VerdictExpired"], id="no policy leaves no time"
        ),
        pytest.param(reasons(now=NOW - CLOCK_SKEW), [], id="clocks that differ a little"),
        pytest.param(
            reasons(now=NOW - CLOCK_SKEW - timedelta(seconds=1)),
            ["ClockBehind"],
            id="a clock that jumped back",
        ),
        pytest.param(
            reasons(Current("u-2", 4, None, NOW, NOW), "", NOW + DAY),
            [
                *("SealBroken", "SpecChanged", "IdentityChanged"),
                *("WriterSeen", "RestoredFromBackup", "VerdictExpired"),
            ],
            id="everything at once, in order",
        ),
    ],
)
def test_when_a_verdict_is_stale(found: list[str], expected: list[str]) -> None:
    assert found == expected
