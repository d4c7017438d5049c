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
        ("[landing]\nsecret = 'My Token'", "`landing.secret`"),
        ("[landing]\napi_url = 'github.example.com'", "`landing.api_url`"),
        ("[agent.secrets]\nKEY = 1", "`agent.secrets.KEY`"),
        ("[test]\nmemory = 'much'", "`test.memory`"),
        ("[agent.build]\nmemory = 4", "`agent.build.memory`"),
    ],
)
def test_a_bad_value_is_named_and_shown(text: str, named: str) -> None:
    with pytest.raises(Misuse) as no:
        parse(text, "adw.toml")
    assert named in str(no.value)
    assert "it is" in str(no.value)


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


def test_a_token_is_asked_for_by_name_only_where_there_are_pull_requests() -> None:
    wanted = [parse(f'[landing]\nmode = "{mode}"\nsecret = "github-token"', "adw.toml").landing.secrets for mode in ("push", "pull-request")]
    assert wanted == [{}, {"GITHUB_TOKEN": "github-token"}]


def test_a_phase_reserves_what_it_says_itself_or_what_all_agents_do() -> None:
    config = parse("[agent]\nmemory = '512MB'\n[agent.build]\nmemory = '4GB'\n[test]\nmemory = '1.5 GiB'", "adw.toml")
    assert [config.reserved(phase) for phase in ("plan", "build", "test")] == [512_000_000, 4_000_000_000, 1_610_612_736]
    assert Config().reserved("build") == Config().reserved("test") == 0
    assert override(config, pool__size=3).reserved("build") == 4_000_000_000
