"""Coverage-guided fuzzing of one target: python -m tests.fuzz.coverage_guided TARGET [OPTIONS].

The options are libFuzzer's, for example -max_total_time=120. Inputs that reach new code are kept in
build/fuzz/TARGET and tried first the next time.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["weightlock"]):
    from tests.fuzz.targets import TARGETS, Target

WORK = Path("build/fuzz")


def main(arguments: list[str]) -> None:
    if len(arguments) < 2 or arguments[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.coverage_guided {{{','.join(TARGETS)}}} [OPTIONS]")
    target = TARGETS[arguments[1]]
    corpus, dictionary = _prepared(target)
    options = ["-max_len=16384", "-timeout=20", "-rss_limit_mb=2048", f"-dict={dictionary}"]
    options.append(f"-artifact_prefix={WORK}/{target.name}-")

    def one_input(data: bytes) -> None:
        target.accepts(data)

    given = arguments[2:]
    if not any(Path(argument).is_file() for argument in given):  # a file is tried by itself
        given = [*given, str(corpus)]
    atheris.Setup([arguments[0], *options, *given], one_input)
    atheris.Fuzz()


def _prepared(target: Target) -> tuple[Path, Path]:
    corpus = WORK / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    dictionary = WORK / f"{target.name}.dict"
    escaped = ("".join(f"\\x{octet:02x}" for octet in token) for token in target.tokens)
    dictionary.write_text("".join(f'"{token}"\n' for token in escaped))
    return corpus, dictionary


if __name__ == "__main__":
    main(sys.argv)
