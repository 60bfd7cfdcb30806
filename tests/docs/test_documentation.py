"""What the documents name exists: links, commands, options, targets, reasons, code."""

import argparse
import ast
import importlib
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from weightlock.cli.main import COMMANDS, parser
from weightlock.names import API_VERSION
from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.objects import Policy
from weightlock.reasons import Reason

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
ENDS = {"|", "||", "&&", ";", ">", ">>", "<<<"}
PLACEHOLDER = re.compile(r"\[.*|\.\.\.|[A-Z][A-Z0-9]*")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def links(path: Path) -> Iterator[str]:
    text = FENCE.sub("", path.read_text())
    for match in LINK.finditer(text):
        yield match[1] or match[2]


def blocks(path: Path, *languages: str) -> Iterator[str]:
    for match in FENCE.finditer(path.read_text()):
        if match[1] in languages:
            yield match[2]


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = FENCE.sub("", path.read_text())
    headings = re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            assert link.startswith(("https://", "mailto:")), link
            continue
        where, _, anchor = link.partition("#")
        target = (path.parent / where).resolve() if where else path
        assert target.exists(), f"{name(path)} links to {link}"
        assert target.is_relative_to(ROOT), f"{name(path)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{name(path)} links to {link}"


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of each call of our program in a shell script."""
    for line in text.replace("\\\n", " ").splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # a quote that a later line closes: no call of ours
        yield from calls(words)


def calls(words: list[str]) -> Iterator[list[str]]:
    for is_end, group in itertools.groupby(words, lambda word: word in ENDS):
        found = list(group)
        if is_end:
            continue
        starts = [at for at, word in enumerate(found) if word.split("/")[-1] == "weightlock"]
        if starts and (starts[0] == 0 or found[: starts[0]] == ["kubectl"]):
            yield found[starts[0] + 1 :]


def subparser(words: list[str]) -> argparse.ArgumentParser:
    """The parser of the command that some words call."""
    found: argparse.ArgumentParser = parser(words)
    for word in words:
        choices: Any = next(
            (each.choices for each in found._actions if isinstance(each.choices, dict)), None
        )
        if choices is None:
            break
        assert word in choices, f"there is no command {word!r}"
        found = choices[word]
    return found


def check_options(words: list[str]) -> None:
    known = {option for action in subparser(words)._actions for option in action.option_strings}
    for word in words:
        option = word.partition("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", option):
            assert option in known, f"weightlock {' '.join(words)}: no option {option}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_commands_in_scripts_are_understood(path: Path) -> None:
    for block in blocks(path, "sh", "bash", "console", ""):
        for words in command_lines(block):
            if not words or words[0] in {"--help", "--version"}:
                continue
            check_options(words)
            if not any(PLACEHOLDER.fullmatch(word) and word != "DIR" for word in words):
                arguments = ["model" if word == "DIR" else word for word in words]
                parser(arguments).parse_args(arguments)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_commands_in_sentences_and_pipelines_exist(path: Path) -> None:
    text = FENCE.sub("", path.read_text())
    quoted = [" ".join(match[1].split()) for match in INLINE.finditer(text)]
    steps = [line.strip() for block in blocks(path, "yaml") for line in block.splitlines()]
    steps = [step.removeprefix("- run: ") for step in steps if "weightlock " in step]
    for line in [*quoted, *steps]:
        for words in command_lines(line):
            commands = [*itertools.takewhile(lambda word: re.fullmatch("[a-z]+", word), words)]
            if commands and commands[0] in {*COMMANDS, "register", "why", "policy"}:
                check_options(words)
            elif commands:
                raise AssertionError(f"{name(path)}: weightlock {' '.join(words)}")


def targets() -> set[str]:
    text = "\n".join(path.read_text() for path in (ROOT / "Makefile", *(ROOT / "e2e").glob("*.mk")))
    return set(re.findall(r"^([a-z][a-z0-9-]*):", text, re.MULTILINE))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_make_has_the_targets(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"(?:`|^)make ([a-z][a-z0-9-]*)", text, re.MULTILINE):
        assert target in targets(), f"{name(path)}: make {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_python_is_python_and_uses_what_is_there(path: Path) -> None:
    for block in blocks(path, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute):
                dotted = ast.unparse(node)
                if dotted.startswith("weightlock."):
                    assert exists(dotted), f"{name(path)}: {dotted}"


def exists(dotted: str) -> bool:
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_objects_of_ours_are_accepted(path: Path) -> None:
    for block in blocks(path, "yaml"):
        for document in yaml.safe_load_all(re.sub(r"\$\{\{.*?\}\}", "1", block)):
            if not isinstance(document, dict) or document.get("apiVersion") != API_VERSION:
                continue
            kind = Checkpoint if document["kind"] == "ModelCheckpoint" else Policy
            kind.from_object(document, "default")


def test_every_document_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        local = (link.partition("#")[0] for link in links(path) if "://" not in link)
        waiting += [(path.parent / link).resolve() for link in local if link]
    assert reached == set(DOCUMENTS)


def test_files_of_the_repository_that_are_named_exist() -> None:
    named = re.compile(r"\b((?:charts|manifests|docs|crds|dashboards)/[\w./-]*\w)")
    for path in DOCUMENTS:
        for block in blocks(path, "sh", "bash"):
            for found in named.findall(block):
                assert (ROOT / found).exists(), f"{name(path)}: {found}"


def test_every_reason_is_explained() -> None:
    text = (ROOT / "docs" / "guides" / "understand-a-denial.md").read_text()
    quoted = {match[1] for match in INLINE.finditer(text)}
    assert {reason.value for reason in Reason} <= quoted


def test_a_document_that_names_what_is_not_there_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.md"
    wrong.write_text("```sh\nweightlock verify DIR --no-such-option\n```\n")
    (words,) = command_lines(next(blocks(wrong, "sh")))
    with pytest.raises(AssertionError, match="no option --no-such-option"):
        check_options(words)
    with pytest.raises(AssertionError, match="no command"):
        check_options(["verfy", "DIR"])
    assert not exists("weightlock.no_such_thing")
