import pytest

from adw.config import Config, Section, override, parse, schema
from adw.errors import Misuse


def test_an_empty_file_gives_the_defaults() -> None:
    assert parse("", "adw.toml") == Config()


def test_what_is_given_is_kept_and_the_rest_is_default() -> None:
    config = parse('tries = 2\n[pool]\nsize = 7\ninclude = [".env"]\n[test]\ncommand = "make test"\n', "adw.toml")
    assert (config.tries, config.pool.size, config.pool.include, config.test.command) == (2, 7, (".env",), "make test")
    assert config.pool.keep == Config().pool.keep


@pytest.mark.parametrize(
    ("text", "named", "near"),
    [
        ("tris = 3", "`tris`", "`tries`"),
        ("[tset]\n", "`tset`", "`test`"),
        ("[pool]\nsise = 3", "`pool.sise`", "`size`"),
        ("[agent]\ncomand = 'x'", "`agent.comand`", "`command`"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(text: str, named: str, near: str) -> None:
    with pytest.raises(Misuse) as no:
        parse(text, "/repo/adw.toml")
    assert all(word in str(no.value) for word in ("/repo/adw.toml", named, f"did you mean {near}?"))


def test_an_unknown_key_that_is_near_to_none_is_told_all() -> None:
    with pytest.raises(Misuse, match=r"`test.zzzzzz`: known here: command, minutes"):
        parse("[test]\nzzzzzz = 1", "adw.toml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("tries = 0", "`tries`"),
        ("tries = 'many'", "`tries`"),
        ("pool = 3", "`pool`"),
        ("docs = [1]", "`docs.0`"),
        ("approve = true", "`approve`"),
        ('approve = ["plan", "land"]', "`approve.1`"),
        ("[pool]\nsize = 0", "`pool.size`"),
        ("[agent]\nminutes = -1", "`agent.minutes`"),
        ("[landing]\nmode = 'merge'", "`landing.mode`"),
        ("[github]\nsecret = 'My Token'", "`github.secret`"),
        ("[github]\napi_url = 'github.example.com'", "`github.api_url`"),
        ("[agent.secrets]\nKEY = 1", "`agent.secrets.KEY`"),
        ("[tracker]\nkind = 'jira'", "`tracker.kind`"),
        ("[tracker]\nkind = 'archon'", "`tracker`: value error, `archon` needs the address of its server in tracker.url"),
        ("[tracker]\nurl = 'localhost:8181'", "`tracker.url`"),
        ("[tracker]\nurl = 'http://:8181'", "`tracker.url`"),
        ("[tracker]\nurl = 'http://a:b8'", "`tracker.url`"),
        ("[tracker]\nurl = 'http://a b'", "`tracker.url`"),
        ("[tracker]\nurl = 'http://localhost:8181/?token=x'", "`tracker.url`"),
        ("[test]\nmemory = 'much'", "`test.memory`"),
        ("[agent.build]\nmemory = 4", "`agent.build.memory`"),
    ],
)
def test_a_bad_value_is_named_and_shown(text: str, named: str) -> None:
    with pytest.raises(Misuse) as no:
        parse(text, "adw.toml")
    assert named in str(no.value)
    assert "it is" in str(no.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[checks.test]\ncommand = 'x'", r"`checks.test`: .*plan, build, test, .* are adw's own \(it is 'test'\)"),
        ("[checks.landed]\ncommand = 'x'", r"`checks.landed`: .*are adw's own"),
        ("[checks.lint-again]\ncommand = 'x'", r"`checks.lint-again`: .*what ends in -again"),
        ("[checks.build-x]\ncommand = 'x'", r"`checks.build-x`: .*what begins with build- and test- are adw's own"),
        ("[test.groups.a-1]\ncommand = 'x'", r"`test.groups.a-1`: .*what ends in -again or a number"),
        ("[test.groups.A]\ncommand = 'x'", r"`test.groups.A`: .*must be a plain word"),
        ("[test.groups.a]\nsplit = 'x'", r"`test.groups.a.command`: field required"),
        ("[test.groups.a]\ncommand = ' '", r"`test.groups.a`: .*it needs a `command`"),
        ("[test.groups.a]\ncommand = 'x'\nsplit = 'y'", r"`test.groups.a`: .*`split` needs a `command` with \{files\} in it"),
        ("[test.groups.a]\ncommand = 'x {files}'", r"`test.groups.a`: .*`split` needs a `command` with \{files\} in it"),
        ("[test.groups.a]\ncommand = 'x {files}'\nsplit = 'y'\nexclusive = ['z']", r"`test.groups.a`: .*leave out `split`"),
        ("[test.groups.a]\ncommand = 'x'\nexclusive = ['../z']", r"`test.groups.a.exclusive.0`: .*must be a plain word"),
        ("[build]\nitems = 1", r"`build.items`: .*greater than or equal to 2"),
        ("[checks.'a b']\ncommand = 'x'", r"`checks.a b`: .*must be a plain word: .* \(it is 'a b'\)"),
        ("[checks.Lint]\ncommand = 'x'", r"`checks.Lint`: .*must be a plain word"),
        ("[checks.lint]\nminutes = 3", r"`checks.lint`: .*it needs a `command` or a `prompt`, and not both"),
        ("[checks.lint]\ncommand = 'x'\nprompt = 'y'", r"`checks.lint`: .*it needs a `command` or a `prompt`, and not both"),
        ("[checks.lint]\nprompt = 'x'\non = 'candidate'", r"`checks.lint`: .*a prompt judges the change: leave `on` out"),
        ("[checks.lint]\ncommand = 'x'\nmodel = 'y'", r"`checks.lint`: .*a command has no `model`"),
        ("[checks.lint]\ncommand = 'x'\non = 'tip'", r"`checks.lint.on`: .*it is 'tip'"),
        ("[checks.lint]\ncommand = 'x'\nflaky = 'retry'", r"`checks.lint.flaky`: .*it is 'retry'"),
        ("[checks.lint]\ncomand = 'x'", r"`checks.lint.comand`: did you mean `command`\?"),
        ("[prices.m]\ninputs = 1", r"`prices.m.inputs`: did you mean `input`\?"),
    ],
)
def test_what_is_wrong_with_a_check_is_said_with_its_name(text: str, said: str) -> None:
    with pytest.raises(Misuse, match=said):
        parse(text, "adw.toml")


def test_a_command_judges_what_would_land_and_a_prompt_the_change() -> None:
    checks = parse("[checks]\na = {command = 'x'}\nb = {prompt = 'Is it?'}\nc = {command = 'x', on = 'change'}", "adw.toml").checks
    assert {name: check.about for name, check in checks.items()} == {"a": "candidate", "b": "change", "c": "change"}


def test_a_check_reserves_its_own_memory_and_a_prompt_else_that_of_the_review() -> None:
    checks = "[checks]\na = {command = 'x'}\nb = {command = 'x', memory = '2GB'}\nc = {prompt = 'Is it?'}\nd = {prompt = 'Is it?', memory = '2GB'}\n"
    config = parse(f"{checks}[agent.review]\nmemory = '3GB'", "adw.toml")
    assert [config.reserved(name) // 10**9 for name in ("a", "b", "c", "d")] == [0, 2, 3, 2]


def test_each_wrong_key_has_a_line() -> None:
    with pytest.raises(Misuse) as no:
        parse("a = 1\ntries = 0\n[pool]\nb = 2", "adw.toml")
    assert len(str(no.value).splitlines()) == 3


def test_what_is_no_toml_is_said_with_the_place() -> None:
    with pytest.raises(Misuse, match=r"adw.toml is no TOML: .*line 2"):
        parse("tries = 1\ntries = =\n", "adw.toml")


def test_a_setting_can_be_overridden_and_none_leaves_it() -> None:
    config = override(parse("tries = 2\n[pool]\nsize = 7", "adw.toml"), pool__size=3, test__command="x", tries=None)
    assert (config.pool.size, config.test.command, config.tries) == (3, "x", 2)


def test_an_override_is_checked_like_the_file() -> None:
    with pytest.raises(Misuse, match=r"command line: `pool.size`.*it is 1000"):
        override(Config(), pool__size=1000)


def test_the_schema_has_every_key_with_its_description() -> None:
    definitions = {"Config": schema(), **schema()["$defs"]}
    for model in Section.__subclasses__():
        assert set(definitions[model.__name__]["properties"]) == set(model.model_fields)
        assert definitions[model.__name__]["additionalProperties"] is False
    assert "description" in definitions["PoolConfig"]["properties"]["size"]


def test_a_person_is_asked_before_a_change_goes_out_and_not_where_it_is_left_for_one() -> None:
    asks = [parse(f'approve = ["landing"]\n[landing]\nmode = "{mode}"', "adw.toml").asks_to_land for mode in ("branch", "push", "pull-request", "none")]
    assert asks == [True, True, True, False]


def test_a_token_is_kept_where_a_secret_is_named_for_it() -> None:
    assert [parse(text, "adw.toml").github.secrets for text in ("", '[github]\nsecret = "github-token"')] == [{}, {"GITHUB_TOKEN": "github-token"}]


def test_a_phase_reserves_what_it_says_itself_or_what_all_agents_do() -> None:
    config = parse("[agent]\nmemory = '512MB'\n[agent.build]\nmemory = '4GB'\n[test]\nmemory = '1.5 GiB'", "adw.toml")
    assert [config.reserved(phase) for phase in ("plan", "build", "test")] == [512_000_000, 4_000_000_000, 1_610_612_736]
    assert Config().reserved("build") == Config().reserved("test") == 0
    assert override(config, pool__size=3).reserved("build") == 4_000_000_000


def test_a_piece_of_a_phase_has_the_settings_of_the_phase() -> None:
    config = parse("[test]\nmemory = '2GB'\n[agent.build]\nmodel = 'large'\nmemory = '3GB'\ntools = 'edit'", "adw.toml")
    assert [config.agent.at(phase).model for phase in ("build-2", "build-integrate", "build")] == ["large"] * 3
    assert config.agent.tools("build-1") == "edit"
    assert [config.reserved(phase) // 10**9 for phase in ("build-1", "test-unit-1")] == [3, 2]


def test_a_password_in_the_trackers_address_is_an_error_that_does_not_tell_it() -> None:
    with pytest.raises(Misuse, match=r"`tracker\.url`: it must hold no name and no password: name a Prefect Secret in tracker\.secret") as no:
        parse('[tracker]\nurl = "https://ada:hunter2@archon.example.com"', "adw.toml")
    assert "hunter2" not in str(no.value)
