"""JavaScript and TypeScript by tree-sitter, and how complex functions are in any language that lizard reads.

All of it is run in a process of its own: it holds the GIL, and parsers in C have crashed.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from adw.skills.finding import Finding
from adw.skills.registry import Given

if TYPE_CHECKING:
    from tree_sitter import Language, Node

JAVASCRIPT, TYPESCRIPT, TSX = (".js", ".mjs", ".cjs", ".jsx"), (".ts", ".mts", ".cts"), (".tsx",)
SCRIPTS = (*JAVASCRIPT, *TYPESCRIPT, *TSX)
OTHERS = (*SCRIPTS, ".c", ".cc", ".cpp", ".cs", ".go", ".h", ".hpp", ".java", ".kt", ".lua", ".php", ".rb", ".rs", ".scala", ".swift")
WIDE = 300  # bytes of a line, in the middle
MOST = 10  # paths through a function, as ruff has it
ERRORS = 20  # of syntax in one file: one mistake may be the cause of many


@cache
def _language(suffix: str) -> "Language":
    import tree_sitter_javascript  # noqa: PLC0415
    import tree_sitter_typescript  # noqa: PLC0415
    from tree_sitter import Language  # noqa: PLC0415

    if suffix in JAVASCRIPT:
        return Language(tree_sitter_javascript.language())
    return Language(tree_sitter_typescript.language_tsx() if suffix in TSX else tree_sitter_typescript.language_typescript())


def _sources(given: Given) -> Iterator[tuple[str, bytes]]:
    """The files that somebody wrote, each with its text: what a bundler wrote has lines that nobody reads."""
    for file in given.files:
        source = (given.folder / file).read_bytes()
        if len(source) <= WIDE * (source.count(b"\n") + 1):
            yield file, source


def _root(file: str, source: bytes) -> "tuple[Language, Node]":
    from tree_sitter import Parser  # noqa: PLC0415

    language = _language(file[file.rindex(".") :])
    return language, Parser(language).parse(source).root_node


def syntax(given: Given) -> Iterator[Finding]:
    """What is no JavaScript or TypeScript."""
    from tree_sitter import Query, QueryCursor  # noqa: PLC0415

    for file, source in _sources(given):
        language, root = _root(file, source)
        if not root.has_error:
            continue
        nodes = QueryCursor(Query(language, "[(ERROR) (MISSING)] @wrong")).captures(root)["wrong"]
        for node in sorted(nodes, key=lambda n: n.start_byte)[:ERRORS]:
            message = f"`{node.type}` is missing" if node.is_missing else f"no valid syntax: `{_head(node)}`"
            yield Finding("validate_syntax", file, node.start_point.row + 1, "error", message)


def _head(node: "Node") -> str:
    return " ".join((node.text or b"").decode(errors="replace").split())[:60]


def patterns(given: Given) -> Iterator[Finding]:
    """What is seldom meant so, by the queries in `patterns/`."""
    from tree_sitter import Query, QueryCursor  # noqa: PLC0415

    text = files("adw.skills").joinpath("patterns/scripts.scm").read_text(encoding="utf-8")
    for file, source in _sources(given):
        language, root = _root(file, source)
        query = Query(language, text)
        for number, captures in QueryCursor(query).matches(root):
            message = query.pattern_settings(number)["message"]
            yield Finding("analyze_patterns", file, captures["found"][0].start_point.row + 1, "warning", str(message))


def complexity(given: Given) -> Iterator[Finding]:
    """The functions that are too complex."""
    import lizard  # noqa: PLC0415

    for file, source in _sources(given):
        try:
            functions = lizard.analyze_file.analyze_source_code(file, source.decode(errors="replace")).function_list
        except Exception as no:  # noqa: BLE001 - it stumbles over some: what it finds in the others stands
            yield Finding("analyze_complexity", file, 0, "note", f"lizard cannot read it: {type(no).__name__}")
            continue
        for function in functions:
            if function.cyclomatic_complexity > MOST:
                message = f"`{function.name}` is too complex ({function.cyclomatic_complexity} > {MOST})"
                yield Finding("analyze_complexity", file, function.start_line, "warning", message)
