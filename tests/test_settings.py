"""Settings: four places in their order, every wrong value refused with the place it came from."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import platformdirs
import pytest

from jiyao.errors import UsageError
from jiyao.settings import FILE_NAME, Settings, default_home, load


def written(home: Path, text: str) -> dict[str, str]:
    """A settings file in `home`; the environment that points there."""
    (home / FILE_NAME).write_text(text, encoding="utf-8")
    return {"JIYAO_HOME": str(home)}


def refused(environment: dict[str, str], **flags: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load(flags, environment)
    for language in ("zh", "en"):
        assert caught.value.message(language) and caught.value.remedy(language)  # every mark is filled
    return caught.value


def test_defaults_when_nothing_is_said(tmp_path: Path) -> None:
    settings = load({}, {"JIYAO_HOME": str(tmp_path)})
    assert settings == Settings(home=tmp_path)
    assert (settings.engine, settings.language, settings.script, settings.threads) == ("auto", "auto", "simplified", 0)
    with pytest.raises(FrozenInstanceError):
        settings.threads = 3  # type: ignore[misc]


def test_each_place_wins_over_the_one_before(tmp_path: Path) -> None:
    environment = written(tmp_path, 'threads = 1\nscript = "original"\n')
    assert load({}, environment).threads == 1
    environment["JIYAO_THREADS"] = "2"
    assert load({}, environment).threads == 2
    assert load({"threads": 3}, environment).threads == 3
    # a flag that was not given, and a variable that is set to nothing, say nothing
    assert load({"threads": None}, environment).threads == 2
    assert load({}, {**environment, "JIYAO_THREADS": ""}).threads == 1
    assert load({"threads": 0}, environment).threads == 0, "zero was given"
    assert load({}, environment).script == "original"


@pytest.mark.parametrize(
    ("text", "variables", "flags", "origin", "name"),
    [
        ("threads = 999", {}, {}, FILE_NAME, "threads"),
        ("", {"JIYAO_THREADS": "many"}, {}, "JIYAO_THREADS", "threads"),
        ("", {}, {"engine": "best"}, "--engine", "engine"),
        ("", {}, {"max_duration_h": 99.0}, "--max-duration-h", "max_duration_h"),
    ],
)
def test_a_wrong_value_names_its_origin(
    tmp_path: Path, text: str, variables: dict[str, str], flags: dict[str, object], origin: str, name: str
) -> None:
    error = refused({**written(tmp_path, text), **variables}, **flags)
    assert error.key == "settings.bad_value" and error.exit_code == 2
    assert error.parameters["name"] == name and str(error.parameters["origin"]).endswith(origin)


@pytest.mark.parametrize("value", ["0.01", "48", "1e1"])
def test_the_ends_of_a_range_are_in_it(tmp_path: Path, value: str) -> None:
    assert load({}, {"JIYAO_HOME": str(tmp_path), "JIYAO_MAX_DURATION_H": value}).max_duration_h == float(value)


@pytest.mark.parametrize(
    "line",
    [
        "threads = -1",
        "threads = 257",
        "threads = 1.5",
        "threads = true",
        "threads = inf",
        "threads = nan",
        "threads = [1]",
        "threads = 1979-05-27",
        "max_duration_h = 0",
        "max_duration_h = 48.1",
        "max_duration_h = nan",
        "max_duration_h = 1" + "0" * 400,
        'ui = "fr"',
        "ui = 1",
        "language = 5",
        "language = false",
        'script = "Simplified"',
        '[engine]\nname = "auto"',
    ],
)
def test_what_does_not_fit_is_refused_and_says_what_would(tmp_path: Path, line: str) -> None:
    error = refused(written(tmp_path, line))
    assert error.key == "settings.bad_value"
    assert "None" not in error.remedy("en")


@pytest.mark.parametrize(("line", "threads"), [("threads = 4.0", 4), ('threads = "4"', 4)])
def test_a_number_may_be_written_as_text_or_with_a_point(tmp_path: Path, line: str, threads: int) -> None:
    settings = load({}, written(tmp_path, line))
    assert settings.threads == threads and type(settings.threads) is int


def test_an_unknown_field_in_the_file_is_a_slip(tmp_path: Path) -> None:
    error = refused(written(tmp_path, 'langauge = "zh"'))
    assert error.key == "settings.unknown" and error.parameters["name"] == "langauge"
    assert FILE_NAME in error.message("en") and "language" in error.remedy("en")


def test_an_unknown_variable_is_somebody_elses(tmp_path: Path) -> None:
    environment = {"JIYAO_HOME": str(tmp_path), "JIYAO_DEBUG": "1", "JIYAO_LANGAUGE": "zh", "jiyao_threads": "9"}
    assert load({}, environment) == Settings(home=tmp_path)


def test_an_unknown_flag_is_refused(tmp_path: Path) -> None:
    assert refused({"JIYAO_HOME": str(tmp_path)}, threds=1).key == "settings.unknown"


@pytest.mark.parametrize(
    "content", [b"threads = \n", b'engine = "auto', b"threads = 1\nthreads = 2\n", b"\xff\xfe\x00"]
)
def test_a_malformed_file_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    error = refused({"JIYAO_HOME": str(tmp_path)})
    assert error.key == "settings.unreadable" and str(tmp_path) in error.message("en")


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    assert refused({"JIYAO_HOME": str(tmp_path)}).key == "settings.unreadable"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xef\xbb\xbfthreads = 3\r\n")
    assert load({}, {"JIYAO_HOME": str(tmp_path)}).threads == 3


# home


def test_home_is_the_flags_then_the_environments_then_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "一", tmp_path / "two"
    for folder, threads in ((one, 1), (two, 2)):
        folder.mkdir()
        written(folder, f"threads = {threads}")
    environment = {"JIYAO_HOME": str(one)}
    assert (load({}, environment).home, load({}, environment).threads) == (one, 1)
    chosen = load({"home": two}, environment)
    assert (chosen.home, chosen.threads) == (two, 2), "the file of the home that counts"
    monkeypatch.setattr("jiyao.settings.default_home", lambda: one)
    assert load({}, {}).home == load({}, {"JIYAO_HOME": ""}).home == one


def test_the_systems_home_is_the_users_data_folder() -> None:
    assert default_home() == Path(platformdirs.user_data_path("jiyao", appauthor=False)) == Settings().home


def test_home_may_not_exist_yet_and_is_not_made(tmp_path: Path) -> None:
    home = tmp_path / "not" / "yet"
    assert load({}, {"JIYAO_HOME": str(home)}).home == home and not home.exists()


def test_home_is_absolute_and_knows_the_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({}, {"JIYAO_HOME": "models here"}).home == tmp_path / "models here"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert load({}, {"JIYAO_HOME": "~/data"}).home == tmp_path / "data"
    error = refused({"JIYAO_HOME": "~nobody-of-that-name/data"})
    assert error.parameters["origin"] == "JIYAO_HOME" and "a folder" in error.remedy("en")


def test_the_file_cannot_move_the_home(tmp_path: Path) -> None:
    error = refused(written(tmp_path, 'home = "/elsewhere"'))
    assert error.key == "settings.unknown" and "home" not in error.remedy("en")


# what the fields say of themselves


def test_every_field_says_why_and_what_it_may_be() -> None:
    for field in fields(Settings):
        about = field.metadata
        assert about["why"]
        bounded = about.get("low") is not None and about.get("high") is not None and about["unit"]
        assert about.get("allowed") or about.get("example") or bounded, field.name


@pytest.mark.parametrize(
    ("ui", "lang", "expected"), [("zh", "en_US", "zh"), ("en", "zh_CN", "en"), ("auto", "zh_CN", "zh")]
)
def test_language_of_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ui: str, lang: str, expected: str
) -> None:
    for variable in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LANG", f"{lang}.UTF-8")
    assert load({"ui": ui}, {"JIYAO_HOME": str(tmp_path)}).ui_language == expected
