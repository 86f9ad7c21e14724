"""The table of messages: both languages, the same marks, every key that code uses, and no other.

The code is read, not run: an error that nobody has raised yet must have its sentences too.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from jiyao.errors import EngineError, JiyaoError, UsageError
from jiyao.messages import Language, language_of_computer, say, table
from jiyao.pipeline import Stage
from jiyao.weights import Status, Verdict

SOURCE = Path(__file__).parent.parent / "src" / "jiyao"
SAYING = ("say", "text", "working", "Note")  # calls whose first argument is a key; so is that of every …Error
ANYTHING = r"[\w.]+"  # what an f-string puts in
LOCALE_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@dataclass
class Use:
    """A key in a call, where, and the names of the parameters given to it (None: not to be seen from here)."""

    key: str
    where: str
    error: bool
    parameters: frozenset[str] | None


@dataclass
class Uses:
    said: list[Use] = field(default_factory=list)
    families: list[re.Pattern[str]] = field(default_factory=list)  # from f"models.state_{…}"
    literals: set[str] = field(default_factory=set)  # every string in the code: keys also travel in tables


def uses_in(sources: Mapping[str, str]) -> Uses:
    """Every key in the Python sources {name: text}."""
    uses = Uses()
    for name, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                uses.literals.add(node.value)
            if isinstance(node, ast.Call) and node.args and _says(node):
                _collect(node, f"{name}:{node.lineno}", uses)
    return uses


# in the page's scripts a key is a plain string, or a template that begins with one: `desk.state_${state}`
_SCRIPT_KEY = re.compile(r"""(["'])([a-z]+\.[a-z0-9_]+)\1""")
_SCRIPT_FAMILY = re.compile(r"`([a-z]+\.[a-z0-9_]*)\$\{[^`}]*\}([a-z0-9_]*)`")
_SCRIPT_CALL = re.compile(r"""\bsay\(\s*(["'])([a-z]+\.[a-z0-9_]+)\1\s*(?:\)|,\s*\{([^{}]*)\}\s*\))""")


def uses_in_scripts(scripts: Mapping[str, str], groups: frozenset[str]) -> Uses:
    """Every key of these groups in the page's scripts {name: text}, with its parameters where they can be seen."""
    uses = Uses()
    for name, text in scripts.items():
        keys = {match[2] for match in _SCRIPT_KEY.finditer(text) if match[2].partition(".")[0] in groups}
        keys = {key for key in keys if not key.endswith((".js", ".css"))}
        uses.literals |= keys
        seen = set()
        for match in _SCRIPT_CALL.finditer(text):
            given = re.findall(r"(?:^|,)\s*(\w+)", match[3] or "")
            seen.add(match[2])
            line = text.count("\n", 0, match.start()) + 1
            uses.said.append(Use(match[2], f"{name}:{line}", False, frozenset(given)))
        uses.said += [Use(key, name, False, None) for key in sorted(keys - seen)]
        uses.families += [
            re.compile(re.escape(match[1]) + ANYTHING + re.escape(match[2]))
            for match in _SCRIPT_FAMILY.finditer(text)
            if match[1].partition(".")[0] in groups
        ]
    return uses


def _says(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in SAYING or name.endswith("Error")


def _collect(call: ast.Call, where: str, uses: Uses) -> None:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    # errors of ours only: `raise ValueError("…")` says no key
    error = name.endswith("Error")
    if error and name not in {kind.__name__ for kind in kinds_of_error()}:
        return
    first = list(ast.walk(call.args[0]))
    families = [part for part in first if isinstance(part, ast.JoinedStr)]
    uses.families += map(_family, families)
    pieces = {id(piece) for family in families for piece in ast.walk(family)}
    for part in first:
        if id(part) in pieces or not isinstance(part, ast.Constant):
            continue
        if isinstance(part.value, str) and "." in part.value:
            uses.said.append(Use(part.value, where, error, _parameters(call, name)))


def _family(text: ast.JoinedStr) -> re.Pattern[str]:
    parts = (
        re.escape(value.value) if isinstance(value, ast.Constant) and isinstance(value.value, str) else ANYTHING
        for value in text.values
    )
    return re.compile("".join(parts))


def _parameters(call: ast.Call, name: str) -> frozenset[str] | None:
    if name == "Note":
        given = call.args[1] if len(call.args) > 1 else None
        if given is None:
            return frozenset()
        if isinstance(given, ast.Dict) and all(isinstance(key, ast.Constant) for key in given.keys):
            return frozenset(str(key.value) for key in given.keys if isinstance(key, ast.Constant))
        return None
    names = [keyword.arg for keyword in call.keywords]
    return None if None in names else frozenset(name for name in names if name)


def kinds_of_error() -> Iterator[type[JiyaoError]]:
    waiting = [JiyaoError]
    while waiting:
        kind = waiting.pop()
        yield kind
        waiting.extend(kind.__subclasses__())


def sources() -> dict[str, str]:
    return {str(p.relative_to(SOURCE)): p.read_text(encoding="utf-8") for p in sorted(SOURCE.rglob("*.py"))}


def scripts() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((SOURCE / "web" / "static").glob("*.js"))}


def marks(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def unknown(uses: Uses, known: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Keys that code says and the table lacks, an error's remedy included."""
    wanted = [(use.key, use.where) for use in uses.said]
    wanted += [(f"{use.key}_remedy", use.where) for use in uses.said if use.error]
    # keys that travel in tables look like keys of a group that exists; settings.toml is a file
    groups = "|".join({key.partition(".")[0] for key in known})
    like_keys = re.compile(rf"({groups})\.(?!toml$)[a-z_]*[a-z]")  # not the head of an f-string
    wanted += [
        (key, "a literal") for key in sorted(filter(like_keys.fullmatch, uses.literals - {k for k, _ in wanted}))
    ]
    missing = [f"{where}: {key}" for key, where in wanted if key not in known]
    return missing + [f"no key like {f.pattern}" for f in uses.families if not any(map(f.fullmatch, known))]


def unused(uses: Uses, known: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Keys of the table that no code says."""
    errors = {use.key for use in uses.said if use.error}
    # the family `<key>_remedy` in errors.py is not "used": only errors that are raised count
    families = [family for family in uses.families if family.pattern != ANYTHING + "_remedy"]

    def is_used(key: str) -> bool:
        return (
            key in uses.literals
            or (key.endswith("_remedy") and key.removesuffix("_remedy") in errors)
            or any(family.fullmatch(key) for family in families)
        )

    return [key for key in known if not is_used(key)]


def unfilled(uses: Uses, known: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Marks that stay empty because the code gives no such parameter."""
    found = []
    for use in uses.said:
        if use.parameters is None:
            continue
        for key in (use.key, f"{use.key}_remedy") if use.error else (use.key,):
            for sentence in known.get(key, {}).values():
                found += [f"{use.where}: {key} {{{mark}}}" for mark in marks(sentence) - use.parameters]
    return found


def test_both_languages_for_every_key() -> None:
    assert table()
    for key, sentences in table().items():
        assert set(sentences) == {"zh", "en"}, key
        assert all(isinstance(sentence, str) and sentence.strip() for sentence in sentences.values()), key


def test_the_same_marks_in_both_languages() -> None:
    for key, sentences in table().items():
        found = [
            Counter(name for _, name, _, _ in Formatter().parse(s) if name is not None) for s in sentences.values()
        ]
        assert set(found[0]) == set(found[1]), key
        assert all(re.fullmatch(r"[a-z_]+", mark) for mark in found[0]), f"{key}: named marks only"


def test_chinese_is_chinese_and_english_is_not() -> None:
    han = re.compile("[\u4e00-\u9fff]")
    for key, sentences in table().items():
        # what consists of marks and punctuation alone is the same in every language
        words = re.sub(r"\{\w+\}|\W", "", sentences["zh"])
        assert han.search(sentences["zh"]) or not words, key
        assert not han.search(sentences["en"]), key
        assert not re.search(r"[\u4e00-\u9fff] ?[,;:?!]", sentences["zh"]), f"{key}: half-width mark beside Han"


def test_every_key_in_the_code_exists_and_every_key_is_used() -> None:
    uses = uses_in(sources())
    assert len(uses.said) > 50 and len(uses.families) >= 4
    page = uses_in_scripts(scripts(), frozenset(key.partition(".")[0] for key in table()))
    assert len(page.said) > 100
    uses = Uses(uses.said + page.said, uses.families + page.families, uses.literals | page.literals)
    assert unknown(uses, table()) == []
    assert unused(uses, table()) == []
    assert unfilled(uses, table()) == []


def test_families_are_complete() -> None:
    wanted = [f"cli.stage_{stage}" for stage in get_args(Stage)]
    wanted += [f"models.state_{status}" for status in get_args(Status)]
    wanted += [f"models.verdict_{verdict.replace('-', '_')}" for verdict in get_args(Verdict)]
    assert [key for key in wanted if key not in table()] == []


def test_a_slip_would_be_found() -> None:
    bad = """
raise UsageError("a.missing", name=1)
console.say("a.there", nmae=1)
console.say(f"a.kind_{x}")
raise AudioError("a.bare" if x else "a.other")
raise ValueError("settings.toml is no key")
Note("a.note", {"rate": 1})
COLUMNS = ("a.spare", "a.column", "a.toml")
"""
    both = dict.fromkeys(("zh", "en"), "{name}")
    known = {"a.there": both, "a.bare": both, "a.bare_remedy": {}, "a.spare": {}, "a.unused": {}, "a.note": both}
    uses = uses_in({"x.py": bad})
    assert sorted(use.key for use in uses.said) == ["a.bare", "a.missing", "a.note", "a.other", "a.there"]
    assert unknown(uses, known) == [
        "x.py:2: a.missing",
        "x.py:5: a.other",
        "x.py:2: a.missing_remedy",
        "x.py:5: a.other_remedy",
        "a literal: a.column",
        f"no key like a\\.kind_{ANYTHING}",
    ]
    assert unused(uses, known) == ["a.unused"]
    assert set(unfilled(uses, known)) == {"x.py:3: a.there {name}", "x.py:5: a.bare {name}", "x.py:7: a.note {name}"}


def test_a_slip_in_a_script_would_be_found() -> None:
    script = """
    import { say } from "./say.js";
    title.textContent = say("desk.there", { name, count: 3 });
    hint.textContent = say("desk.empty");
    say(`desk.state_${job.state}`); const KEYS = ["desk.later", "other.thing", "desk.js"];
    """
    uses = uses_in_scripts({"x.js": script}, frozenset({"desk"}))
    both = dict.fromkeys(("zh", "en"), "{name}")
    known = {"desk.there": both, "desk.empty": both, "desk.later": both, "desk.old": both}
    assert unknown(uses, known) == [f"no key like desk\\.state_{ANYTHING}"]
    assert unused(uses, known) == ["desk.old"]
    assert set(unfilled(uses, known)) == {"x.js:4: desk.empty {name}"}


# saying


def test_say_fills_the_marks() -> None:
    assert say("cli.not_yet", "en", option="--minutes") == "--minutes is not in this version yet."
    assert say("cli.not_yet", "zh", option="{x}") == "这个版本还没有 {x}。", "a parameter is text, never a pattern"


def test_a_missing_key_or_parameter_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        say("no.such", "en")
    with pytest.raises(KeyError):
        say("cli.not_yet", "en")


def test_an_error_says_what_happened_and_what_to_do() -> None:
    error = EngineError("engine.load", name="whisper-base", reason="no memory")
    assert "no memory" in error.message("zh") and "whisper-base" in error.remedy("zh")
    assert str(error) == f"{error.message('en')} {error.remedy('en')}"
    assert isinstance(error, JiyaoError) and UsageError("cli.not_yet", option="x").exit_code == 2


# the computer's language


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW"}, "zh"),
        ({"LANG": "ZH"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh_HK.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LANGUAGE": "zh:en", "LC_ALL": "en_US.UTF-8"}, "zh"),
        ({"LANGUAGE": "en:zh", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANGUAGE": "", "LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "zh"),
    ],
)
def test_language_by_environment(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str) -> None:
    for variable in LOCALE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert language_of_computer() == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("zh_CN", "zh"), ("Chinese (Simplified)_China", "zh"), ("English_United States", "en"), (None, "en")],
)
def test_language_of_the_system_where_the_environment_is_silent(
    monkeypatch: pytest.MonkeyPatch, name: str | None, expected: str
) -> None:
    for variable in LOCALE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("jiyao.messages.locale.getlocale", lambda: (name, "UTF-8"))
    assert language_of_computer() == expected


def test_a_parameter_may_have_any_name() -> None:
    """`language` and `key` once collided with the functions' own arguments: a traceback instead of a sentence."""
    error = UsageError("engine.language", language="xx", known="zh, en")
    for language in get_args(Language):
        assert "xx" in error.message(language) and "zh, en" in error.remedy(language)
    assert "xx" in str(error)
