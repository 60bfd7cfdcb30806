"""`weightlock report` as a Job runs it: a process with arguments, a file, an exit code."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support import checkpoints, folders
from tests.support.keys import info, key
from tests.unit.policy.builders import authority, policy, signatures
from tests.unit.policy.builders import key as nobodys

from weightlock.algorithms import ML_DSA_87
from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.cli import report as command
from weightlock.cli.main import main, parser
from weightlock.digests import HashAlgorithm
from weightlock.errors import EngineUnavailable, Unreadable
from weightlock.formats.shards import Shard
from weightlock.formats.spki import PublicKeyInfo
from weightlock.formats.tree import TreeParameters
from weightlock.names import TREE_ID
from weightlock.oms import writing
from weightlock.oms.contents import Contents
from weightlock.policy.requirements import SignatureRequirements
from weightlock.reasons import Reason, Verdict
from weightlock.reporting import (
    EngineName,
    Gate,
    ReadingLimits,
    Report,
    Request,
    evidence_of,
    merged,
    parse_report,
    request_arguments,
)
from weightlock.signatures.schemes import SigningKey
from weightlock.verdict.judge import judge

LIMITS = ReadingLimits(1000, 1 << 30)
WHOLE_COMMAND = [sys.executable, "-m", "weightlock", "report"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint signed by one ML-DSA-65 key."""
    folder = folders.write(tmp_path / "model", folders.SAMPLE)
    checkpoints.signed(folder)
    return folder


def public(signing: SigningKey | None = None) -> PublicKeyInfo:
    return info((signing or key()).public_key)


def asked(**more: object) -> Request:
    return replace(Request("n-1", LIMITS, (public(),), engine=EngineName.CPU), **more)  # type: ignore[arg-type]


def gated(*requirements: SignatureRequirements, **more: object) -> Request:
    demanded = requirements or (SignatureRequirements.of_keys([public()]),)
    return asked(trust=(), gate=Gate(demanded, **more))  # type: ignore[arg-type]


def run(model: Path, request: Request, *more: str) -> tuple[int, Report]:
    """Run the command in this process."""
    to = model.parent / "termination-log"
    to.touch()
    code = main(["report", str(model), *request_arguments(request), f"--to={to}", *more])
    return code, parse_report(to.read_bytes())


def reported(model: Path, request: Request, *more: str) -> Report:
    code, report = run(model, request, *more)
    assert code == 0
    return report


def process(model: Path, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - this program
        [*WHOLE_COMMAND, str(model), *arguments], capture_output=True, text=True, check=False
    )


def test_a_job_leaves_one_report_and_says_on_stderr_what_it_does(
    model: Path, tmp_path: Path
) -> None:
    to = tmp_path / "termination-log"
    to.write_bytes(b"x" * 5000)  # longer than any report: nothing of it may remain
    inode = to.stat().st_ino
    done = process(model, [*request_arguments(asked()), f"--to={to}"])
    report = parse_report(to.read_bytes())
    assert done.returncode == 0
    assert done.stdout == ""
    assert "weightlock: hashing 3 files, 376.8 kB" in done.stderr
    assert "weightlock: Verified" in done.stderr
    assert to.stat().st_ino == inode  # the kubelet mounted this file, not its name
    assert (report.verdict, report.nonce, report.tree) == (Verdict.VERIFIED, "n-1", TREE_ID)
    assert (report.files, report.bytes) == (4, sum(map(len, folders.SAMPLE.values())))
    assert report.model is not None
    assert (report.model.name, report.model.version) == ("llama", 3)
    assert [(each.keyid, each.valid, each.listed) for each in report.signatures] == [
        (public().keyid, True, True)
    ]


def test_it_began_before_it_read(model: Path) -> None:
    before = time.time()
    report = reported(model, asked())
    assert before <= report.started_at.timestamp() <= time.time() - report.seconds


def test_a_flipped_byte_is_reported_and_exits_0(model: Path) -> None:
    weights = model / "weights.bin"
    data = bytearray(weights.read_bytes())
    data[1000] ^= 1
    weights.write_bytes(data)
    report = reported(model, asked())
    assert (report.verdict, report.reason) == (Verdict.FAILED, Reason.CONTENT_MISMATCH)
    assert "weights.bin" in report.message


def test_a_missing_folder_is_reported_as_an_error(tmp_path: Path) -> None:
    report = reported(tmp_path / "nowhere", asked())
    assert (report.verdict, report.reason) == (Verdict.ERROR, Reason.UNREADABLE)


def test_a_folder_below_a_volume_is_verified_and_no_link_to_it_followed(model: Path) -> None:
    volume = model.parent
    assert reported(volume, asked(), "--below=model").verdict is Verdict.VERIFIED
    (volume / "current").symlink_to("model")
    report = reported(volume, asked(), "--below=current")
    assert (report.verdict, report.reason) == (Verdict.FAILED, Reason.UNSAFE_ENTRY)


@pytest.mark.parametrize("path", ["..", "model/..", "/model", "model/", "a//b", "."])
def test_a_path_that_is_not_normal_is_a_usage_error(model: Path, path: str) -> None:
    done = process(model.parent, [*request_arguments(asked()), f"--below={path}"])
    assert (done.returncode, "normalised" in done.stderr) == (2, True)


def test_facts_of_all_keys_are_reported_and_judged_elsewhere(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "model", folders.SAMPLE)
    second, stranger = key("ML-DSA-87"), key("SLH-DSA-SHA2-128f")
    checkpoints.signed(folder, key(), second, stranger)
    report = reported(folder, asked(trust=(public(), public(second))))
    assert report.verdict is Verdict.VERIFIED
    assert [(each.valid, each.trusted, each.listed) for each in report.signatures] == [
        (True, True, True),
        (True, True, True),
        (None, False, True),
    ]
    both = SignatureRequirements.of_keys([public(), public(second)], at_least=2)
    assert judge(evidence_of(report), [both], checkpoints.NOW).verdict is Verdict.VERIFIED
    third = SignatureRequirements.of_keys([public(key("ML-DSA-65", 1))])
    assert judge(evidence_of(report), [third], checkpoints.NOW).reason is Reason.SIGNER_UNTRUSTED


def test_two_hundred_keys_go_through_the_arguments_of_a_process(
    model: Path, tmp_path: Path
) -> None:
    others = tuple(nobodys(f"k{number}", ML_DSA_87) for number in range(199))
    to = tmp_path / "log"
    pieces = request_arguments(asked(trust=(*others, public())))
    done = process(model, [*pieces, f"--to={to}"])
    assert (done.returncode, len(pieces) > 1) == (0, True)
    assert parse_report(to.read_bytes()).verdict is Verdict.VERIFIED


def test_a_stranger_is_untrusted_and_nothing_is_hashed(model: Path) -> None:
    report = reported(model, asked(trust=(public(key("ML-DSA-65", 1)),)))
    assert (report.reason, report.bytes, report.digest) == (Reason.SIGNER_UNTRUSTED, 0, None)


def test_a_hash_that_is_not_allowed_is_forbidden_before_it_is_computed(model: Path) -> None:
    report = reported(model, asked(allowed_hashes=frozenset({HashAlgorithm.SHA512})))
    assert (report.reason, report.bytes) == (Reason.ALGORITHM_FORBIDDEN, 0)


def test_limits_are_those_of_the_request(model: Path) -> None:
    report = reported(model, asked(limits=ReadingLimits(2, 1 << 30)))
    assert report.reason is Reason.LIMIT_EXCEEDED
    report = reported(model, asked(limits=ReadingLimits(1000, 100)))
    assert report.reason is Reason.LIMIT_EXCEEDED


def test_all_shards_together_are_the_checkpoint(tmp_path: Path) -> None:
    tensors = {f"layer.{number}": bytes([number]) * 50_000 for number in range(6)}
    folder = folders.write(tmp_path / "model", {"m.safetensors": folders.safetensors(tensors)})
    checkpoints.signed(folder, parameters=TreeParameters(leaf_bytes=4096))
    request = asked(shard=Shard(0, 3))
    shards = [reported(folder, request, f"--shard-index={number}") for number in range(3)]
    assert [report.shard for report in shards] == [Shard(number, 3) for number in range(3)]
    assert merged(shards).bytes == (folder / "m.safetensors").stat().st_size


def oms(folder: Path, signing: SigningKey) -> None:
    with CheckpointFolder(folder) as opened:
        walked = opened.walk(Limits())
        contents = Contents(walked.files, opened.files(walked.files))
        digests = writing.file_digests(contents, lambda _: None)
    (folder / "model.sig").write_bytes(writing.bundle("llama", digests, signing))


def test_an_oms_bundle_is_classical_only(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "model", folders.SAMPLE)
    classical = key("ECDSA-P256-SHA256")
    oms(folder, classical)
    trust = (public(), public(classical))
    report = reported(folder, asked(trust=trust))
    assert (report.verdict, report.tree) == (Verdict.CLASSICAL_ONLY, "")
    report = reported(folder, asked(trust=trust, recognise_classical=False))
    assert report.reason is Reason.UNSIGNED
    assert "notarize" in report.hint


@pytest.mark.parametrize("hint", ["release@models.example", "", "AB" * 32, "\u202e" * 3000])
def test_what_a_stranger_calls_its_key_is_left_out(tmp_path: Path, hint: str) -> None:
    folder = folders.write(tmp_path / "model", folders.SAMPLE)
    oms(folder, key("ECDSA-P256-SHA256"))
    bundle = json.loads((folder / "model.sig").read_bytes())
    bundle["verificationMaterial"]["publicKey"]["hint"] = hint
    (folder / "model.sig").write_text(json.dumps(bundle))
    report = reported(folder, asked())
    assert (report.verdict, report.reason) == (Verdict.FAILED, Reason.SIGNER_UNTRUSTED)
    assert [each.keyid for each in report.signatures] == [""]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--request={}"], id="no request"),
        pytest.param(['--request={"schema":"weightlock.dev/request/v2"}'], id="newer"),
        pytest.param([*request_arguments(gated())], id="a gate without --gate"),
        pytest.param([*request_arguments(asked()), "--gate"], id="--gate without one"),
        pytest.param([*request_arguments(asked()), "--shard-index=0"], id="an index of no shards"),
        pytest.param(
            [*request_arguments(asked(shard=Shard(0, 2))), "--shard-index=2"], id="beyond the last"
        ),
    ],
)
def test_a_request_that_cannot_be_read_is_usage_and_leaves_no_report(
    model: Path, tmp_path: Path, arguments: list[str]
) -> None:
    to = tmp_path / "log"
    assert main(["report", str(model), *arguments, f"--to={to}"]) == 2
    assert not to.exists()


def test_a_report_that_cannot_be_written_is_trouble(model: Path, tmp_path: Path) -> None:
    to = tmp_path / "missing" / "log"
    assert main(["report", str(model), *request_arguments(asked()), f"--to={to}"]) == 4


def test_a_full_disk_is_trouble() -> None:
    with pytest.raises(Unreadable, match="cannot be written"):
        command.write(Path("/dev/full"), b"report")


def test_a_device_that_is_not_there_is_reported(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here(*_: object, **__: object) -> None:
        raise EngineUnavailable("there is no CUDA device here")

    monkeypatch.setattr(command, "choose_engine", none_here)
    report = reported(model, asked(engine=EngineName.CUDA))
    assert (report.verdict, report.reason) == (Verdict.ERROR, Reason.ENGINE_UNAVAILABLE)


def test_termination_leaves_no_report(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    with (folder / "weights.bin").open("wb") as weights:
        weights.truncate(256 << 20)
    checkpoints.signed(folder, parameters=TreeParameters(HashAlgorithm.SHA3_512))
    to = tmp_path / "log"
    to.touch()
    arguments = [*request_arguments(asked()), f"--to={to}", "--threads=1"]
    with subprocess.Popen(  # noqa: S603 - this program
        [*WHOLE_COMMAND, str(folder), *arguments], stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        assert "hashing" in running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 143
    assert to.read_bytes() == b""


def test_a_log_that_nobody_takes_any_more_keeps_no_report_back(model: Path) -> None:
    reading, writing_end = os.pipe()
    os.close(reading)
    to = model.parent / "termination-log"
    with os.fdopen(writing_end, "wb") as broken:
        done = subprocess.run(  # noqa: S603 - this program
            [*WHOLE_COMMAND, str(model), *request_arguments(asked()), f"--to={to}"],
            stderr=broken,
            check=False,
        )
    assert done.returncode == 0
    assert parse_report(to.read_bytes()).verdict is Verdict.VERIFIED


def test_no_core_is_ever_dumped(model: Path) -> None:
    reported(model, asked())
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def test_a_gate_opens_for_what_all_its_policies_accept(model: Path) -> None:
    strict = SignatureRequirements.of_policy(
        policy("p", signatures=signatures(authority("release", public())))
    )
    code, report = run(model, gated(strict, model_name="llama", version_floor=3), "--gate")
    assert (code, report.verdict) == (0, Verdict.VERIFIED)


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        pytest.param(gated(model_name="gpt"), 1, Reason.IDENTITY_MISMATCH, id="another model"),
        pytest.param(gated(version_floor=4), 1, Reason.ROLLBACK, id="an older version"),
        pytest.param(
            gated(SignatureRequirements.of_keys([public(key("ML-DSA-65", 1))])),
            1,
            Reason.SIGNER_UNTRUSTED,
            id="another signer",
        ),
        pytest.param(
            gated(
                SignatureRequirements.of_keys([public()]),
                SignatureRequirements.of_keys([public(), public(key("ML-DSA-65", 1))], 2),
            ),
            1,
            Reason.SIGNER_MISSING,
            id="one policy of two",
        ),
    ],
)
def test_a_gate_stays_shut(model: Path, request_: Request, code: int, reason: Reason) -> None:
    assert run(model, request_, "--gate")[0] == code
    assert run(model, request_, "--gate")[1].reason is reason


def test_a_gate_stays_shut_for_a_key_that_expires_while_the_content_is_read(model: Path) -> None:
    end = "2027-01-01T00:00:00.000001Z"
    short = SignatureRequirements.of_policy(
        policy("p", signatures=signatures(authority("release", public(), notAfter=end)))
    )
    to = model.parent / "termination-log"
    words = ["report", str(model), *request_arguments(gated(short)), f"--to={to}", "--gate"]
    args = parser(words).parse_args(words)
    args.now = datetime(2027, 1, 1, tzinfo=UTC)  # a moment before the end
    assert command.run(args) == 1
    assert parse_report(to.read_bytes()).reason is Reason.KEY_EXPIRED


def test_a_gate_stays_shut_for_a_flipped_byte_and_for_trouble(model: Path) -> None:
    (model / "config.json").write_bytes(b"{}")
    assert run(model, gated(), "--gate")[0] == 1
    assert run(model.parent / "nowhere", gated(), "--gate")[0] == 4


@pytest.mark.parametrize(("sunset", "code"), [("2020-01-01", 3), ("2125-01-01", 0)])
def test_a_gate_takes_classical_signatures_only_until_their_sunset(
    tmp_path: Path, sunset: str, code: int
) -> None:
    folder = folders.write(tmp_path / "model", folders.SAMPLE)
    classical = key("ECDSA-P256-SHA256")
    oms(folder, classical)
    tolerant = policy(
        "p",
        enforcement="Warn",
        signatures=signatures(
            authority("old", public(classical)),
            classical={"action": "Warn", "sunset": f"{sunset}T00:00:00Z"},
        ),
    )
    request = gated(SignatureRequirements.of_policy(tolerant))
    assert run(folder, request, "--gate")[0] == code


def test_long_verifications_say_now_and_then_how_far_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    instants = iter([0.0, 1.0, 11.0, 12.0, 21.5])
    lines = command.Lines(lambda: next(instants))
    lines.begin(2, 40_000_000_000)
    for _ in range(4):
        lines.advance(10_000_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "weightlock: hashing 2 files, 40.0 GB",
        "weightlock: 20.0 GB of 40.0 GB (50 %), 1.818 GB/s",
        "weightlock: 40.0 GB of 40.0 GB (100 %), 1.86 GB/s",
    ]
