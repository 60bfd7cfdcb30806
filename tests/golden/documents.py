"""Vectors of strict JSON, strict base64, manifests: what is read, what is refused and why."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.golden.layout import Row, text
from tests.support.documents import MANIFEST, NOTARISED

from weightlock.errors import WeightlockError
from weightlock.formats import statement, strict_base64, strict_json

Change = Callable[[Any], object]
MAX_BYTES: Final = 1024


def strict_vectors() -> str:
    """strict.json."""
    return text(
        [
            "Strict JSON and strict base64; docs/checkpoint-format.md, section 6. Documents are",
            "given by their bytes in hexadecimal, with `reason` null where they are read. The",
            "limit of bytes is not tested here; all others are those of any document.",
        ],
        json=_json(),
        base64=_base64(),
    )


def _reason(parse: Callable[[], object]) -> str | None:
    try:
        parse()
    except WeightlockError as error:
        return error.reason.value
    return None


def _json() -> Iterator[Row]:
    for data in _JSON:
        reason = _reason(lambda data=data: strict_json.parse(data, max_bytes=MAX_BYTES))  # type: ignore[misc]
        yield {
            "utf8": data.hex(),
            "shown": ascii(data.decode("utf-8", "replace")),
            "reason": reason,
        }


def _base64() -> Iterator[Row]:
    for spelled in _BASE64:
        reason = _reason(lambda spelled=spelled: strict_base64.decode(spelled))  # type: ignore[misc]
        decoded = None if reason else base64.b64decode(spelled).hex()
        yield {"text": spelled, "decoded": decoded, "reason": reason}


_JSON: Final = (
    b"{}", b" [ 1 , -1 , 0 ] \r\n\t", b'{"a":{"a":1}}', b"18446744073709551615",
    b'"\\ud83d\\ude00"',
    b'"\\\\ud800"', b'"[[{{"', b"[" * 32 + b"]" * 32, b"9" * 20, b"true", b'{"":null}',
    b"", b" ", b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b"NaN", b"Infinity", b"-Infinity", b"1.0",
    b"1e3", b"01", b"+1", b"-0", b"0x10", b"9" * 21, b"-" + b"9" * 20, b"\xef\xbb\xbf{}", b"{}{}",
    b"{}\x00", b"{} x", b"[1,]", b'{"a":1,}', b"{'a':1}", b"{a:1}", b"[1]//x", b'"a\nb"', b'"a',
    b'"\\', b'"\\x41"', b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\\ud800"', b'{"\\udfff":1}',
    b'"\\ude00\\ud83d"', b"[" * 33 + b"]" * 33, b'{"a":' * 33 + b"0" + b"}" * 33, b"TRUE", b"]",
)  # fmt: skip
_BASE64: Final = (
    "", "AA==", "AAE=", "AAEC", "+/+/", "AB==", "AAF=", "AA", "AA=", "AA===", "AAEC=", "====",
    "AA==AA==", "A", "-_-_", "AA E", "AAEC\n", "\u00e9AAA",
)  # fmt: skip


def manifest_vectors() -> str:
    """manifests.json."""
    return text(
        [
            "Payloads of envelopes: manifests as in-toto statements; docs/checkpoint-format.md,",
            "section 5. `payload` is the text, byte for byte in UTF-8. valid: what is read, with",
            "what it says. invalid: each differs from a valid one in one way, named by `case`; it",
            "must be refused, and `reason` is the word to refuse it with.",
        ],
        valid=_valid(),
        invalid=_invalid(),
    )


def _valid() -> Iterator[Row]:
    for case, manifest in (("plain", MANIFEST), ("every optional part", NOTARISED)):
        yield _read(case, statement.serialise(manifest))
    loose = json.loads(statement.serialise(MANIFEST))
    loose["predicate"] = dict(reversed(loose["predicate"].items()))
    yield _read("fields in another order, blanks, escapes", json.dumps(loose, indent=1).encode())


def _read(case: str, payload: bytes) -> Row:
    found = statement.parse(payload)
    return {
        "case": case,
        "payload": payload.decode(),
        "model": found.model.name,
        "version": found.model.version,
        "hash": found.parameters.algorithm,
        "root": found.root.hex(),
        "files": len(found.files),
        "bytes": found.total_bytes,
    }


def _invalid() -> Iterator[Row]:
    for manifest, changes in ((MANIFEST, _CHANGES), (NOTARISED, _OPTIONAL_CHANGES)):
        for case, change in changes.items():
            document = json.loads(statement.serialise(manifest))
            change(document)
            yield _refused(case, json.dumps(document))
    payload = statement.serialise(MANIFEST).decode()
    yield _refused("a key twice", payload.replace('"version":3', '"version":3,"version":3'))
    yield _refused("a fraction", payload.replace('"version":3', '"version":3.0'))
    yield _refused("a byte after the end", payload + "x")
    yield _refused("a byte order mark", "\ufeff" + payload)
    yield _refused("cut short", payload[:-1])


def _refused(case: str, payload: str) -> Row:
    reason = _reason(lambda: statement.parse(payload.encode()))
    assert reason is not None, case
    return {"case": case, "payload": payload, "reason": reason}


def _put(path: str, value: object) -> Change:
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))

    def change(here: Any) -> None:
        for part in parents:
            here = here[part]
        here[last] = value

    return change


def _drop(path: str) -> Change:
    *parents, last = path.split(".")

    def change(here: Any) -> None:
        for part in parents:
            here = here[part]
        del here[last]

    return change


def _files(change: Callable[[list[Any]], object]) -> Change:
    return lambda document: change(document["predicate"]["files"])


def _two_files_swapped(files: list[Any]) -> None:
    files[0], files[1] = files[1], files[0]


_P: Final = "predicate."
_ROOT: Final = MANIFEST.root.hex()
_CHANGES: Final[dict[str, Change]] = {
    "an older statement": _put("_type", "https://in-toto.io/Statement/v0.1"),
    "another predicate": _put("predicateType", "https://slsa.dev/provenance/v1"),
    "another version of the predicate": _put(
        "predicateType", "https://weightlock.dev/checkpoint/v2"
    ),
    "an unknown field of the statement": _put("extra", 1),
    "an unknown field of the predicate": _put(_P + "ignore", []),
    "no subject": _put("subject", []),
    "two subjects": _put("subject", [{}, {}]),
    "another model as subject": _put("subject.0.name", "mistral"),
    "a subject with a plain digest": _put("subject.0.digest", {"sha256": _ROOT}),
    "a subject with another root": _put("subject.0.digest.rfc6962-v1-sha256", "00" * 32),
    "no model": _drop(_P + "model"),
    "a model name with a blank": _put(_P + "model.name", "a b"),
    "a version as string": _put(_P + "model.version", "3"),
    "a version of true": _put(_P + "model.version", True),
    "a version below zero": _put(_P + "model.version", -1),
    "a version of 2^63": _put(_P + "model.version", 2**63),
    "a time with an offset": _put(_P + "createdAt", "2026-11-21T09:30:00+00:00"),
    "a time with fractions": _put(_P + "createdAt", "2026-11-21T09:30:00.0Z"),
    "the thirteenth month": _put(_P + "createdAt", "2026-13-21T09:30:00Z"),
    "the 30th of February": _put(_P + "createdAt", "2026-02-30T09:30:00Z"),
    "a leap second": _put(_P + "createdAt", "2026-12-31T23:59:60Z"),
    "an unknown tree": _put(_P + "tree.id", "rfc6962-v2"),
    "an unknown hash": _put(_P + "tree.hash", "blake2b"),
    "a hash in capitals": _put(_P + "tree.hash", "SHA256"),
    "the root of another hash": _put(_P + "tree.hash", "sha512"),
    "leaves of 2 KiB": _put(_P + "tree.leafSize", 2048),
    "leaves of 2 MiB": _put(_P + "tree.leafSize", 2**21),
    "leaves of no power of two": _put(_P + "tree.leafSize", 12288),
    "a root in capitals": _put(_P + "tree.root", _ROOT.upper()),
    "a root cut short": _put(_P + "tree.root", _ROOT[:-2]),
    "a root that is not the files'": _put(_P + "tree.root", "00" * 32),
    "no signers": _put(_P + "signers", []),
    "a signer twice": lambda document: document["predicate"]["signers"].extend(
        document["predicate"]["signers"]
    ),
    "17 signers": _put(
        _P + "signers", [{"algorithm": "ML-DSA-65", "keyid": f"{n:064x}"} for n in range(17)]
    ),
    "an unknown signature algorithm": _put(_P + "signers.0.algorithm", "ML-DSA-66"),
    "an identifier in capitals": _put(_P + "signers.0.keyid", "AB" * 32),
    "no files": _put(_P + "files", []),
    "files out of order": _files(_two_files_swapped),
    "a file twice": _files(lambda files: files.append(files[-1])),
    "a file less": _files(lambda files: files.pop(1)),
    "a name that leads out": _put(_P + "files.0.name", "../config.json"),
    "the name of the envelope": _put(_P + "files.0.name", "model.pqc.sig"),
    "the name of the bundle in capitals": _put(_P + "files.0.name", "MODEL.SIG"),
    "another name": _put(_P + "files.0.name", "config.jsom"),
    "another size": _put(_P + "files.0.size", 3),
    "another root of a file": _put(_P + "files.0.root", "00" * 32),
    "segments lost": _put(_P + "files.0.segments", []),
    "segments swapped": _files(lambda files: files[2]["segments"].reverse()),
    "a segment of nothing": _put(_P + "files.0.segments.0.length", 0),
    "another root of a segment": _put(_P + "files.0.segments.0.root", "00" * 32),
    "an unknown field of a file": _put(_P + "files.0.mode", 1),
    "an unknown field of a segment": _put(_P + "files.0.segments.0.tensor", "a"),
}
_OPTIONAL_CHANGES: Final[dict[str, Change]] = {
    "an lthash of another kind": _put(_P + "lthash.id", "lthash-v2"),
    "an lthash cut short": _put(_P + "lthash.sum", "AAAA"),
    "an lthash of null": _put(_P + "lthash", None),
    "an unknown upstream method": _put(_P + "upstream.method", "keyless"),
    "an upstream digest cut short": _put(_P + "upstream.payloadSha256", "00"),
    "no upstream issuer": _drop(_P + "upstream.issuer"),
}
