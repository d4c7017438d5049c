"""Adw's own skills. Why by these tools is in docs/adr/0018."""

from collections.abc import Callable, Iterable

from adw.skills import project, ruff, scripts
from adw.skills.finding import Finding
from adw.skills.registry import Given, skill
from adw.skills.ruff import PYTHON
from adw.skills.scripts import OTHERS, SCRIPTS

SITTERS = ("tree-sitter", "tree-sitter-javascript", "tree-sitter-typescript")


@skill(
    "analyze_dependencies", version="1", about="modules that import each other in a circle", suffixes=PYTHON, scope="tree", config=ruff.CONFIG, tools=("ruff",)
)
async def analyze_dependencies(given: Given) -> list[Finding]:
    """By ruff's graph of imports."""
    return await ruff.circles(given, "analyze_dependencies")


@skill("analyze_patterns", version="1", about="what is seldom meant so", suffixes=(*PYTHON, *SCRIPTS), config=ruff.CONFIG, tools=("ruff", *SITTERS))
async def analyze_patterns(given: Given) -> list[Finding]:
    """By ruff's rules B, SIM, RET, PIE, PLE, PLW and ASYNC; in JavaScript and TypeScript by queries of tree-sitter."""
    python = await ruff.check(given, "analyze_patterns", "warning", ["B", "SIM", "RET", "PIE", "PLE", "PLW", "ASYNC"])
    return python + await _apart(given, SCRIPTS, scripts.patterns)


@skill("analyze_security", version="1", about="what may be a hole", suffixes=PYTHON, config=ruff.CONFIG, tools=("ruff",))
async def analyze_security(given: Given) -> list[Finding]:
    """By ruff's rules S, which are bandit's."""
    return await ruff.check(given, "analyze_security", "warning", ["S"])


@skill("analyze_performance", version="1", about="what is slower than it need be", suffixes=PYTHON, config=ruff.CONFIG, tools=("ruff",))
async def analyze_performance(given: Given) -> list[Finding]:
    """By ruff's rules PERF and C4."""
    return await ruff.check(given, "analyze_performance", "note", ["PERF", "C4"])


@skill("analyze_style", version="1", about="the repository's own rules for ruff, or ruff's default", suffixes=PYTHON, config=ruff.CONFIG, tools=("ruff",))
async def analyze_style(given: Given) -> list[Finding]:
    """By whatever rules of ruff the repository has chosen."""
    return await ruff.check(given, "analyze_style", "note", [])


@skill("analyze_complexity", version="1", about="functions that are too complex", suffixes=(*PYTHON, *OTHERS), config=ruff.CONFIG, tools=("ruff", "lizard"))
async def analyze_complexity(given: Given) -> list[Finding]:
    """By ruff's rules C901, PLR0911, PLR0912 and PLR0915; in other languages by lizard."""
    python = await ruff.check(given, "analyze_complexity", "warning", ["C901", "PLR0911", "PLR0912", "PLR0915"])
    return python + await _apart(given, OTHERS, scripts.complexity)


@skill("validate_syntax", version="1", about="what cannot be parsed", suffixes=(*PYTHON, *SCRIPTS), config=ruff.CONFIG, tools=("ruff", *SITTERS))
async def validate_syntax(given: Given) -> list[Finding]:
    """By ruff's parser; in JavaScript and TypeScript by tree-sitter."""
    return await ruff.check(given, "validate_syntax", "error", ["E9"]) + await _apart(given, SCRIPTS, scripts.syntax)


@skill(
    "validate_types",
    version="1",
    about="what the type checker says",
    suffixes=PYTHON,
    scope="tree",
    after=("validate_syntax",),
    config=project.MYPY,
    program="mypy",
)
async def validate_types(given: Given) -> list[Finding]:
    """By the project's own mypy, where it is configured."""
    return await project.types(given)


@skill(
    "validate_tests",
    version="1",
    about="tests that cannot be collected",
    suffixes=(".py",),
    scope="tree",
    after=("validate_syntax",),
    config=project.PYTEST,
    program="pytest",
)
async def validate_tests(given: Given) -> list[Finding]:
    """By the project's own pytest."""
    return await project.tests(given)


@skill("validate_docs", version="1", about="what has no docstring", suffixes=(".py",), config=ruff.CONFIG, tools=("ruff",))
async def validate_docs(given: Given) -> list[Finding]:
    """By ruff's rules D1."""
    return await ruff.check(given, "validate_docs", "note", ["D1"])


async def _apart(given: Given, suffixes: tuple[str, ...], function: Callable[[Given], Iterable[Finding]]) -> list[Finding]:
    """What a function that holds the GIL finds in the files that end so, if there are any."""
    some = given.of(*suffixes)
    return await given.tools.apart(function, some) if some.files else []
