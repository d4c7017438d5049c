import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from adw.agents import find_agent
from adw.agents.base import Job, own_file
from adw.config import AgentConfig
from adw.errors import Misuse
from adw.money import Tokens


def job(folder: Path, prompt: Path) -> Job:
    return Job(phase="build", prompt=prompt, tree=folder, folder=folder)


def command(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command agent with a prompt whose path is hard to quote."""
    prompt = folder / "it's a $HOME; prompt.md"
    prompt.write_text("do it")
    argv = find_agent(AgentConfig(command=line), folder).call(job(folder, prompt)).argv
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def play(folder: Path, script: dict[str, Any], phase: str = "build", number: int = 1) -> "subprocess.CompletedProcess[str]":
    """Run the scripted agent on issue i1 in a folder."""
    (folder / "script.json").write_text(json.dumps(script))
    argv = find_agent(AgentConfig(name="scripted", script="script.json"), folder).call(job(folder, folder / "prompt.md")).argv
    env = {**os.environ, "ADW_ISSUE": "i1", "ADW_PHASE": phase, "ADW_TRY": str(number)}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_prompts_path_is_one_word_whatever_is_in_it(tmp_path: Path) -> None:
    assert command("cat {prompt_file} && cat < {prompt_file}", tmp_path).stdout == "do itdo it"


def test_a_commands_exit_status_is_its_answer(tmp_path: Path) -> None:
    assert command("echo no; exit 3", tmp_path).returncode == 3


def test_a_command_without_the_prompts_path_is_left_as_it_is(tmp_path: Path) -> None:
    agent = find_agent(AgentConfig(command="my-agent() { :; }; my-agent"), tmp_path)
    assert agent.call(job(tmp_path, tmp_path)).argv[-1] == "my-agent() { :; }; my-agent"


@pytest.mark.parametrize("line", ["adw-no-such-program --print", "KEY=1 adw-no-such-program", "/no/such/program x"])
def test_a_program_that_is_not_installed_is_named(line: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"'(adw-no-such-program|/no/such/program)' is not installed"):
        find_agent(AgentConfig(command=line), tmp_path)


@pytest.mark.parametrize("line", ["sh -c true", "cd x && y", "(adw-x)", "$AGENT x", "./agent.sh", "'adw x' y", "A=1", "/bin/sh x"])
def test_a_program_that_only_sh_can_find_is_left_to_it(line: str, tmp_path: Path) -> None:
    assert find_agent(AgentConfig(command=line), tmp_path).call(job(tmp_path, tmp_path)).argv == ["sh", "-c", line]


def test_of_an_agents_folder_only_plain_files_are_read_and_no_link_is_followed(tmp_path: Path) -> None:
    own, others = tmp_path / "own", tmp_path / "others"
    (own / "sub").mkdir(parents=True)
    others.mkdir()
    for file in (own / "sub" / "plain", others / "secret"):
        file.write_text(file.name)
    (own / "link").symlink_to(others / "secret")
    (own / "inner").symlink_to(own / "sub" / "plain")
    (own / "folder").symlink_to(others)
    os.mkfifo(own / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with own_file(own, own / "sub" / "plain") as file:
        assert file.read() == b"plain"
    for name in ("link", "inner", "folder/secret", "pipe", "sub", "sub/../../others/secret", "none", "none/none"):
        with pytest.raises(OSError, match=r".+"):
            own_file(own, own / name)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


@pytest.mark.parametrize("line", ["", "  "])
def test_no_command_is_misuse(line: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="no agent command"):
        find_agent(AgentConfig(command=line), tmp_path)


def test_an_unknown_agent_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"no agent 'robot': name one of .*claude, .*command, .*scripted"):
        find_agent(AgentConfig(name="robot"), tmp_path)


@pytest.mark.parametrize("script", ["", "gone.json"])
def test_a_script_that_is_not_there_is_misuse(script: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="needs a script"):
        find_agent(AgentConfig(name="scripted", script=script), tmp_path)


def test_what_an_agent_is_made_of_is_its_identity_and_no_path_is(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "s.json").write_text("{}")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "s.json").write_text('{"*": {}}')
    a, b, c = (find_agent(AgentConfig(name="scripted", script="s.json"), tmp_path / name).identity for name in "abc")
    assert (a == b, a == c) == (True, False)
    assert find_agent(AgentConfig(command="sh x"), tmp_path).identity != find_agent(AgentConfig(command="sh y"), tmp_path).identity


def test_a_script_writes_appends_replaces_and_deletes(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    edits = [
        {"path": "new/größe", "write": "one two two"},
        {"path": "new/größe", "append": " three"},
        {"path": "new/größe", "find": "two", "replace": "2"},
        {"path": "old", "delete": True},
    ]
    assert play(tmp_path, {"i1": {"build": [{"edits": edits}]}}).returncode == 0
    assert (tmp_path / "new" / "größe").read_text(encoding="utf-8") == "one 2 two three"
    assert not (tmp_path / "old").exists()


def test_a_script_can_make_a_file_empty(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    play(tmp_path, {"i1": {"build": [{"edits": [{"path": "f", "write": ""}]}]}})
    assert (tmp_path / "f").read_text() == ""


def test_an_edit_that_does_not_fit_says_so_and_fails(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    done = play(tmp_path, {"i1": {"build": [{"edits": [{"path": "f", "find": "y", "replace": "z"}, {"path": "f", "append": "w"}]}]}})
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "f: there is no 'y' to replace")
    assert (tmp_path / "f").read_text() == "x"


@pytest.mark.parametrize(("number", "said"), [(1, "one"), (2, "two"), (3, "two")])
def test_each_try_has_its_part_and_the_last_stands_for_all_that_follow(number: int, said: str, tmp_path: Path) -> None:
    script = {"i1": {"build": [{"say": "one"}, {"say": "two"}]}, "*": {"build": [{"say": "other"}]}}
    assert play(tmp_path, script, number=number).stdout.strip() == said


def test_a_phase_that_an_issue_does_not_name_is_everyones(tmp_path: Path) -> None:
    script = {"i1": {"build": [{"say": "mine"}]}, "*": {"review": [{"say": "everyone's", "exit": 4}]}}
    done = play(tmp_path, script, phase="review")
    assert (done.stdout.strip(), done.returncode) == ("everyone's", 4)
    assert play(tmp_path, script, phase="plan").stdout.strip() == "plan: done"


def test_a_scripts_command_needs_no_shell(tmp_path: Path) -> None:
    folder = tmp_path / "it's; here"
    folder.mkdir()
    assert play(folder, {"*": {"build": [{"say": shlex.quote("a b")}]}}).stdout.strip() == "'a b'"


def test_what_a_script_says_that_it_took_is_counted_and_is_no_part_of_what_it_said(tmp_path: Path) -> None:
    script = {"i1": {"build": [{"say": '{"summary": "done"}', "spent": {"claude-sonnet-4-5": {"calls": 1, "input": 1000, "output": 20}}}]}}
    printed = play(tmp_path, script).stdout
    reader = find_agent(AgentConfig(name="scripted", script="script.json"), tmp_path).reader(job(tmp_path, tmp_path / "prompt.md"))
    for line in printed.splitlines():
        reader.take(line)
    assert reader.spent == {"claude-sonnet-4-5": Tokens(calls=1, input=1000, output=20)}
    assert reader.said == '{"summary": "done"}'
