"""Adw's own skills on real code: what they find is what their tools find that are called by hand."""

import csv
import json
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from adw.cli import skills as cli
from adw.errors import Misuse
from adw.home import Place
from adw.skills import registry, trees
from adw.skills.bench import KeptBench
from adw.skills.finding import Table
from adw.skills.ruff import IN_TESTS
from adw.skills.running import Inputs, run_skills

BIN = Path(sys.executable).parent
ADWS = {
    *("analyze_complexity", "analyze_dependencies", "analyze_patterns", "analyze_performance", "analyze_security", "analyze_style"),
    *("validate_docs", "validate_syntax", "validate_tests", "validate_types"),
}
PROJECT = {
    "pyproject.toml": '[tool.ruff.lint.per-file-ignores]\n"tests/*" = ["S101"]\n[tool.mypy]\nfiles = ["shop"]\n',
    "shop/__init__.py": "",
    "shop/a.py": 'import subprocess\n\nfrom shop import b\n\n\ndef run(line, found=[]):\n    subprocess.run(line, shell=True)\n    return b.x == None\n\n\ndef n() -> int:\n    return "one"\n',
    "shop/b.py": "from shop import a\n\nx = list(map(lambda y: y, [1]))\nz = []\nfor one in x:\n    z.append(one)\n",
    "shop/c.py": "".join(["def many(x):\n", *(f"    if x == {n}:\n        return {n}\n" for n in range(12))]),
    "tests/test_a.py": "import shop.a\n\n\ndef test_it():\n    assert shop.a.n()\n",
    "tests/test_gone.py": "import no_such_module\n",
}
SCRIPTS = {
    "src/good.ts": "export function f<T>(a: T): T { return a; }\n",
    "src/bad.ts": "export function f(a: number {\n  return a;\n}\nconst x = ;\n",
    "src/view.tsx": "export const V = (p: { n: number }) => <div>{p.n == 2 ? 'a' : 'b'}</div>;\n",
    "src/old.js": "var x = 1;\ntry { x(); } catch (e) {}\nif (x == null) { debugger; }\n",
    "src/deep.ts": "function deep(a: number) {\n" + "".join(f"  if (a === {n}) {{ return {n}; }}\n" for n in range(12)) + "}\n",
}


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in Python, whose tools are on PATH."""
    monkeypatch.setenv("PATH", str(BIN), prepend=":")
    return written(tmp_path / "project", PROJECT)


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A project in TypeScript and JavaScript."""
    return written(tmp_path / "scripts", SCRIPTS)


def run(folder: Path, home: Path, *names: str) -> Table:
    return run_skills(names, Inputs(tree=trees.of_folder(folder), bench=KeptBench.by_hand(folder), place=Place(home / "place")))


def by_hand(folder: Path, *argv: str) -> str:
    return subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=folder, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("analyze_security", "S"),
        ("analyze_performance", "PERF,C4"),
        ("analyze_patterns", "B,SIM,RET,PIE,PLE,PLW,ASYNC"),
        ("analyze_complexity", "C901,PLR0911,PLR0912,PLR0915"),
        ("validate_docs", "D1"),
        ("analyze_style", ""),
    ],
)
def test_a_skill_finds_in_python_what_ruff_finds(name: str, rules: str, project: Path, home: Path) -> None:
    told = by_hand(
        project, "ruff", "check", "--no-cache", "--output-format", "json", "--extend-per-file-ignores", IN_TESTS, *(["--select", rules] if rules else []), "."
    )
    theirs = sorted(
        (Path(one["filename"]).relative_to(project).as_posix(), one["location"]["row"], f"{one['code']} {one['message']}") for one in json.loads(told)
    )
    assert theirs
    table = run(project, home, name)
    assert sorted((f.file, f.line, f.message) for f in table.findings) == theirs
    assert table.troubles == ()


def test_types_are_what_mypy_finds(project: Path, home: Path) -> None:
    told = by_hand(project, "mypy", "--output", "json", "--cache-dir=/dev/null")
    theirs = [(one["file"], one["line"], f"{one['message']} [{one['code']}]") for one in map(json.loads, told.splitlines()) if one["severity"] == "error"]
    assert [(f.file, f.line, f.message) for f in run(project, home, "validate_types").findings] == sorted(theirs)
    assert theirs


def test_types_are_not_looked_at_where_nobody_configured_a_checker(project: Path, home: Path) -> None:
    (project / "pyproject.toml").unlink()
    table = run(project, home, "validate_types")
    assert [str(f) for f in table.rows] == ["note: not run: the repository configures no type checker (mypy) (validate_types)"]


def test_a_checker_that_is_not_installed_is_a_line(project: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert [str(f) for f in run(project, home, "validate_types").rows] == ["note: not run: mypy is not installed (validate_types)"]


def test_a_module_of_tests_that_cannot_be_collected_is_found(project: Path, home: Path) -> None:
    found = run(project, home, "validate_tests").findings
    message = "it cannot be collected: ModuleNotFoundError: No module named 'no_such_module'"
    assert [(f.file, f.line, f.severity, f.message) for f in found] == [("tests/test_gone.py", 1, "error", message)]


def test_modules_that_import_each_other_are_found(project: Path, home: Path) -> None:
    found = run(project, home, "analyze_dependencies").findings
    assert [f.message for f in found] == ["imports itself in a circle: shop/a.py → shop/b.py → shop/a.py"]


def test_python_that_cannot_be_parsed_is_found_by_one_skill_alone(project: Path, home: Path) -> None:
    (project / "shop" / "c.py").write_text("def f(:\n")
    table = run(project, home, *(name for name in registry.known() if name not in {"validate_types", "validate_tests"}))
    assert {f.source for f in table.findings if f.file == "shop/c.py"} == {"validate_syntax"}
    assert (table.findings[0].line, table.findings[0].severity) == (1, "error")


def test_typescript_that_cannot_be_parsed_is_found_also_where_something_is_missing(scripts: Path, home: Path) -> None:
    found = run(scripts, home, "validate_syntax").findings
    assert [(f.file, f.line, f.message) for f in found] == [("src/bad.ts", 1, "`)` is missing"), ("src/bad.ts", 4, "no valid syntax: `=`")]


def test_patterns_are_found_in_typescript_and_javascript(scripts: Path, home: Path) -> None:
    found = run(scripts, home, "analyze_patterns").findings
    assert [(f.file, f.line, f.message.split("`")[1] if "`" in f.message else f.message[:19]) for f in found] == [
        ("src/old.js", 1, "var"),
        ("src/old.js", 2, "an error is caught "),
        ("src/old.js", 3, "debugger"),
        ("src/view.tsx", 1, "=="),
    ]


def test_complexity_in_typescript_is_what_lizard_says(scripts: Path, home: Path) -> None:
    rows = list(csv.reader(StringIO(by_hand(scripts, "lizard", "--csv", "src/deep.ts", "src/good.ts", "src/old.js"))))
    theirs = [(row[6], int(row[9]), f"`{row[7]}` is too complex ({row[1]} > 10)") for row in rows if int(row[1]) > 10]
    assert [(f.file, f.line, f.message) for f in run(scripts, home, "analyze_complexity").findings] == theirs
    assert len(theirs) == 1


def test_a_file_that_lizard_stumbles_over_is_a_finding_and_the_others_stand(scripts: Path, home: Path) -> None:
    (scripts / "src" / "odd.js").write_text("({():})(\n")
    found = run(scripts, home, "analyze_complexity").findings
    assert [(f.file, f.severity) for f in found] == [("src/deep.ts", "warning"), ("src/odd.js", "note")]
    assert found[1].message == "lizard cannot read it: IndexError"


def test_what_a_bundler_wrote_is_not_looked_at(scripts: Path, home: Path) -> None:
    (scripts / "src" / "bundle.js").write_text("var a = 1;" * 100)
    assert "src/bundle.js" not in {f.file for f in run(scripts, home, "analyze_patterns", "validate_syntax").findings}


def test_a_configuration_of_ruff_that_is_wrong_is_passed_over(project: Path, home: Path) -> None:
    (project / "ruff.toml").write_text("no-such-setting = 1\n")
    table = run(project, home, "analyze_security")
    assert {f.file for f in table.findings} == {"shop/a.py"}
    assert len(run(project, home, "analyze_dependencies").findings) == 1


def test_nothing_is_left_in_the_folder_and_nothing_of_it_is_imported_but_by_its_own_tools(project: Path, home: Path) -> None:
    for name in ("shop/__init__.py", "ruff.py", "lizard.py", "json.py", "tree_sitter.py"):
        (project / name).write_text("from pathlib import Path\nPath('imported').touch()\n")
    before = set(project.rglob("*"))
    run(project, home, *(name for name in registry.known() if name not in {"validate_types", "validate_tests"}))
    assert set(project.rglob("*")) == before


def test_skills_are_listed_with_their_tools_languages_and_places(project: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ARG001
    cli.listed(project, as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["skills"]}
    assert set(rows) == ADWS
    assert rows["validate_syntax"]["languages"] == "Python, JavaScript, TypeScript"
    assert rows["validate_syntax"]["used"] == "build, review"
    assert rows["validate_types"]["tool"] == str(BIN / "mypy")
    assert re.fullmatch(r"ruff \d[\d.]+", rows["analyze_security"]["tool"])


def test_skills_are_run_by_hand_on_a_folder(scripts: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ARG001
    status = cli.by_hand(["analyze_patterns", "validate_syntax", str(scripts)], as_json=False)
    out = capsys.readouterr().out
    assert "`)` is missing" in out
    assert out.endswith("6 findings; 10 files were looked at, and 0 were known\n")
    assert status == 1
    assert cli.by_hand(["analyze_patterns", str(scripts)], as_json=True) == 0
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 4


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["analyze_secuirty", "."], "there is no skill 'analyze_secuirty': did you mean analyze_security?"),
        (["."], "name skills and a folder, as in `adw skills run all .`"),
        (["all", "no/such/folder"], "there is no folder no/such/folder"),
    ],
)
def test_what_cannot_be_run_by_hand_is_misuse(names: list[str], said: str, home: Path) -> None:  # noqa: ARG001
    with pytest.raises(Misuse, match=re.escape(said)):
        cli.by_hand(names, as_json=False)
