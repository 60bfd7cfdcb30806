"""Breaks decisions on purpose, in one place at a time, and lists what no test notices.

Coverage says that a line runs; a mutant that survives says that nobody looks at what it does. This
is a plugin of pytest. The tests run once, to see which of them reach which line and how long each
takes. Then a child process for each mutant swaps the code of the functions concerned and runs those
tests, the quickest first, until one fails. How to use it, and what survives wrongly, stands in
docs/development.md.
"""

import ast
import gc
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Final

import coverage
import pytest
from hypothesis import HealthCheck, Phase, settings

ROOT: Final = Path(__file__).resolve().parents[1]
MOST_SECONDS: Final = 6.0  # of tests for one mutant, as long as they took with the code as it is

PAIRS = [pair.split() for pair in ("Eq NotEq", "In NotIn", "Is IsNot", "Lt LtE", "Gt GtE")]
COMPARED = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
CALLED: Final = {"any": "all", "all": "any", "min": "max", "max": "min"}
Edit = tuple[str, str, object]  # words; which field of a node, and what it is instead


def edits(node: ast.AST) -> Iterator[Edit]:  # noqa: C901 - a table
    """Everything that can be wrong with an expression."""
    match node:
        case ast.Compare(ops=ops):
            for number, op in enumerate(ops):
                other = COMPARED[type(op).__name__]
                changed = put(ops, number, getattr(ast, other)())
                yield f"{other} for {type(op).__name__}", "ops", changed
        case ast.BoolOp(op=op, values=values):
            both = isinstance(op, ast.And)
            yield ("Or for And" if both else "And for Or"), "op", ast.Or() if both else ast.And()
            yield from without("values", values, ast.Constant(value=both))
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield "the other way round", "test", ast.UnaryOp(ast.Not(), test)
        case ast.comprehension(ifs=ifs):
            yield from without("ifs", ifs)
        case ast.Set(elts=elts) | ast.List(elts=elts, ctx=ast.Load()):
            yield from without("elts", elts)
        case ast.Constant(value=bool(value)):
            yield f"{not value} for {value}", "value", not value
        case ast.Constant(value=int(value)):
            yield f"{value + 1} for {value}", "value", value + 1
        case ast.Call(func=ast.Name(id=name)) if name in CALLED:
            yield f"{CALLED[name]} for {name}", "func", ast.Name(CALLED[name], ast.Load())
        case ast.match_case(pattern=pattern):
            yield f"no case {ast.unparse(pattern)}", "guard", ast.Constant(value=False)


def without(field: str, items: Sequence[ast.expr], *instead: ast.expr) -> Iterator[Edit]:
    """Each of some items left out, or something else in its place."""
    for number, item in enumerate(items):
        yield f"no `{ast.unparse(item)}`", field, put(items, number, *instead)


def put(items: Sequence[object], number: int, *instead: object) -> list[object]:
    """The items with something else, or nothing, in the place of one."""
    return [*items[:number], *instead, *items[number + 1 :]]


def omissions(node: ast.AST) -> Iterator[Edit]:
    """Each statement of a block that does something by itself, left out."""
    block = getattr(node, "body", None)
    for number, statement in enumerate(block if isinstance(block, list) else ()):
        instead: ast.stmt
        match statement:
            case ast.Raise() | ast.AugAssign() | ast.Expr(value=ast.Call() | ast.Await()):
                instead = ast.Pass()
            case ast.Expr(value=ast.Yield() | ast.YieldFrom() as value):  # it stays a generator
                instead = ast.Expr(ast.BoolOp(ast.And(), [ast.Constant(value=False), value]))
            case ast.Continue():
                instead = ast.Break()
            case _:
                continue
        text = ast.unparse(statement).partition("\n")[0]
        yield f"no `{text}`", "body", put(block or (), number, instead)


def mutants(source: str) -> Iterator[tuple[int, str, ast.Module]]:
    """Line, words and module of each; a module is good only until the next one is asked for."""
    tree = ast.parse(source)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [each for each in ast.walk(tree) if isinstance(each, kinds)]
    inside = [node for each in functions for part in each.body for node in ast.walk(part)]
    for node in dict.fromkeys([*functions, *inside]):
        for edit in (*edits(node), *omissions(node)):
            words, field, value = edit
            kept = getattr(node, field)
            setattr(node, field, value)
            yield line_of(node), words, ast.fix_missing_locations(tree)
            setattr(node, field, kept)


def line_of(node: ast.AST) -> int:
    """Not all nodes have one themselves."""
    place = getattr(node, "pattern", getattr(node, "target", node))
    return getattr(node, "lineno", 0) or getattr(place, "lineno", 0)


def codes(code: CodeType) -> dict[tuple[str, int], CodeType]:
    """All functions of a module, by name and line."""
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    found = {(each.co_qualname, each.co_firstlineno): each for each in inner}
    return found | {key: each for one in inner for key, each in codes(one).items()}


class Mutating:
    """Runs the tests once, and then again for each mutant."""

    def __init__(self, targets: Sequence[Path]) -> None:
        self._targets = targets
        self._has_failed = False
        self._seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test ended, in whatever process."""
        self._has_failed = self._has_failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of pytest's own loop."""
        reach = coverage.Coverage(
            data_file=None, config_file=False, include=[str(each) for each in self._targets]
        )
        reach.start()
        for item in session.items:
            reach.switch_context(item.nodeid)
            began = time.perf_counter()
            self._run(item)
            self._seconds[item.nodeid] = time.perf_counter() - began
        reach.stop()
        if self._has_failed:
            raise pytest.UsageError("a test fails before anything was broken")
        told = session.config.pluginmanager.getplugin("terminalreporter")
        quickest = sorted(session.items, key=lambda item: self._seconds[item.nodeid])
        functions = [each for each in gc.get_objects() if isinstance(each, FunctionType)]
        for path in self._targets:
            reached = reach.get_data().contexts_by_lineno(str(path))
            mine = [each for each in functions if each.__code__.co_filename == str(path)]
            for line, words, tree in mutants(path.read_text()):
                after = codes(compile(tree, str(path), "exec"))
                names = set(reached.get(line, ()))
                items = [item for item in quickest if item.nodeid in names]
                child = os.fork()
                if not child:
                    session.config.pluginmanager.unregister(told)
                    os._exit(self._notices(mine, after, items))
                if not os.waitpid(child, 0)[1]:
                    told.write_line(f"survived {path.relative_to(ROOT)}:{line}: {words}")
        return True

    def _notices(
        self,
        functions: Sequence[FunctionType],
        after: dict[tuple[str, int], CodeType],
        items: Sequence[pytest.Item],
    ) -> bool:
        """In a child: whether some test fails. A child that does not end is ended: noticed."""
        signal.alarm(int(10 + 3 * MOST_SECONDS))
        for function in functions:
            code = function.__code__
            other = after.get((code.co_qualname, code.co_firstlineno), code)
            if len(other.co_freevars) == len(code.co_freevars):
                function.__code__ = other
        left = MOST_SECONDS
        for item in items:
            self._run(item)
            left -= self._seconds[item.nodeid]
            if self._has_failed or left < 0:
                break
        return self._has_failed

    def _run(self, item: pytest.Item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--mutate PATH`, as often as wanted: a module, or a folder of them."""
    parser.addoption("--mutate", action="append", default=[], metavar="PATH")


def pytest_configure(config: pytest.Config) -> None:
    """Take over, with laws that are quick and always the same."""
    places = [ROOT / each for each in config.getoption("mutate")]
    targets = [path for place in places for path in (sorted(place.glob("*.py")) or [place])]
    config.pluginmanager.register(Mutating(targets))
    quick = settings(max_examples=60, derandomize=True, database=None, deadline=None)
    phases, checks = [Phase.explicit, Phase.generate], list(HealthCheck)
    settings.register_profile("laws", quick, phases=phases, suppress_health_check=checks)
    settings.load_profile("laws")
