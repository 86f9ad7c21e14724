"""What Streamlit draws: the sidebar with model, words, keeping, cleaning up; and beside it the desk.

In:  the process's desk. Out: the page of one tab. Widgets show what the desk has, also where another tab set it, and
set it by the desk's own methods. Sentences are those of the desk's own panel (`desk.…`): it is the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from jiyao.api.answers import Fields
from jiyao.api.desk import Desk
from jiyao.errors import JiyaoError
from jiyao.messages import Language, say
from jiyao.web import running
from jiyao.web.mount import desk_component

_ENGINES = ("auto", "qwen-torch", "qwen-cpu", "whisper-base")
_SCRIPTS = ("simplified", "traditional", "original")
_TONGUES = {"zh": "中文", "en": "English"}  # each in itself: for those who cannot read the other
_TERMS_HEIGHT = 150  # pixels
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:])")


@st.cache_resource(show_spinner=False)
def shared_desk() -> Desk:
    """One for all tabs, with its queue and its worker, which holds the loaded model."""
    return running.desk()


def draw() -> None:
    """The whole page, once."""
    st.set_page_config(page_title=say("desk.brand", language()), layout="wide", initial_sidebar_state="auto")
    desk = shared_desk()
    with st.sidebar:
        _tongue()
        _model(desk)
        _words(desk)
        _speakers(desk)
        _keeping(desk)
        _sound(desk)
        _cleaning()
        st.link_button(say("shell.full_window", language()), "/desk/", width="stretch")
    what, turn = st.session_state.get("asks", ("", 0))
    desk_component(language(), what, turn, _nothing)


def language() -> Language:
    """Of this tab: as chosen, which its address keeps through a reload; else as the browser prefers; else Chinese."""
    chosen = st.query_params.get("lang") or (st.context.locale or "zh")[:2]
    return "en" if chosen == "en" else "zh"


def _tongue() -> None:
    def choose() -> None:
        st.query_params["lang"] = st.session_state["tongue"] or language()

    _follow("tongue", language())
    st.segmented_control(
        say("shell.tongue", language()),
        list(_TONGUES),
        key="tongue",
        format_func=lambda code: _TONGUES[code],
        on_change=choose,
        label_visibility="collapsed",
        required=True,
    )


def _model(desk: Desk) -> None:
    now = desk.state(language())
    engine, setup = now["engine"], now["setup"]
    with st.expander(say("desk.panel_model", language())):
        if engine is not None:
            facts = [("desk.fact_engine", engine["title"]), ("desk.fact_model", engine["model"])]
            facts.append(("desk.fact_device", say(f"desk.device_{now['host']['device']}", language())))
            if engine["memory_bytes"]:
                facts.append(("desk.fact_memory", f"{engine['memory_bytes'] / 1e9:.1f} GB"))
        else:
            facts = [("desk.fact_next", setup["chosen"]["title"])] if setup["chosen"]["engine"] else []
        facts.append(("desk.fact_why", setup["chosen"]["reason"]))
        _list((say(key, language()), value) for key, value in facts)
        names = {name: say(f"desk.engine_{name.replace('-', '_')}", language()) for name in _ENGINES}
        _choice(desk, "engine", say("desk.engine", language()), names)
        if setup["rejected"]:
            _small(say("desk.rejected", language()))
            _list((one["title"], one["reason"]) for one in setup["rejected"])
        st.button(say("desk.models", language()), on_click=_ask, args=("models",), width="stretch")


def _list(facts: Iterable[tuple[str, str]]) -> None:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    st.html(f'<dl class="jiyao-small">{rows}</dl>')


def _small(text: str) -> None:
    st.html(f'<p class="jiyao-small">{escape(text)}</p>')


def _words(desk: Desk) -> None:
    tongues = re.split(r"[;；]\s*", say("shell.languages", language()))
    names = {"auto": say("desk.language_auto", language()), **dict(one.split(" ", 1) for one in tongues)}
    wanted = desk.settings(language())["language"]
    _choice(desk, "language", say("desk.language", language()), names if wanted in names else {**names, wanted: wanted})
    scripts = {name: say(f"desk.script_{name}", language()) for name in _SCRIPTS}
    _choice(desk, "script", say("desk.script", language()), scripts)
    _follow("terms", desk.settings(language())["terms"])
    st.text_area(
        say("desk.terms", language()),
        key="terms",
        height=_TERMS_HEIGHT,
        placeholder=say("desk.terms_example", language()),
        help=say("desk.terms_help", language()),
        on_change=_setter(desk, "terms"),
    )
    now = desk.settings(language())
    problem = st.session_state.pop("problem", None) or now["terms_error"]
    if problem is not None:
        st.error(_plain(f"{problem['message']} {problem['remedy']}"))
    elif now["terms_count"]:
        _small(say("desk.terms_count", language(), count=now["terms_count"]))
    st.button(say("termsdesk.open", language()), on_click=_ask, args=("terms",), width="stretch")


def _keeping(desk: Desk) -> None:
    def switch() -> None:
        wanted = st.session_state["keep"]
        try:
            answer = desk.set_keep(wanted, None)
        except JiyaoError as error:
            st.session_state["problem"] = {
                "message": error.message(language()),
                "remedy": error.remedy(language()),
            }
            return
        if answer.get("needs_passphrase"):
            _ask("keep")  # typed into the desk's dialog: what is typed here, Streamlit keeps as long as the tab is open

    on = desk.keep.state()["on"]
    _follow("keep", on, always=True)
    why = say("desk.keep_on_why", language()) if on else say("desk.keep_off_why", language())
    st.toggle(say("desk.keep", language()), key="keep", help=why, on_change=switch)
    if on:
        st.button(say("desk.kept_open", language()), on_click=_ask, args=("kept",), width="stretch")


def _speakers(desk: Desk) -> None:
    _switch(
        desk, "speakers", "auto", say("voices.switch", language()), say("voices.switch_why", language()), "speakers"
    )


def _sound(desk: Desk) -> None:
    now = say("desk.sound_from_now", language())
    why = f"{say('desk.denoise_why', language())} {now}"
    _switch(desk, "denoise", "on", say("desk.denoise", language()), why, "denoiser")
    why = f"{say('desk.loudness_why', language())} {now}"
    _switch(desk, "loudness", "on", say("desk.loudness", language()), why)


def _cleaning() -> None:
    st.button(
        say("desk.wipe", language()),
        help=say("desk.wipe_short", language()),
        on_click=_ask,
        args=("wipe",),
        width="stretch",
    )


# how widgets and the desk keep up with one another


def _choice(desk: Desk, name: str, label: str, names: dict[str, str]) -> None:
    _follow(name, desk.settings(language())[name])
    codes: Sequence[str] = list(names)
    st.selectbox(label, codes, key=name, format_func=lambda code: names[code], on_change=_setter(desk, name))


def _switch(desk: Desk, name: str, on: str, label: str, why: str, part: str | None = None) -> None:
    """A switch; where a model is needed for it, `part` of the setup tells of that, and it can be got."""
    models = desk.setup.state(desk.settings(language())["engine"], language())
    known: Mapping[str, Any] = models[part] if part is not None else {"ready": True}

    def switch() -> None:
        _told(lambda: desk.set(Fields({name: on if st.session_state[name] else "off"})))

    def get() -> None:
        _told(lambda: desk.intake.while_empty(lambda: desk.setup.fetch(known["model"])))

    _follow(name, known["ready"] and desk.settings(language())[name] == on, always=True)
    st.toggle(label, key=name, help=why, disabled=not known["ready"], on_change=switch)
    if not known["ready"]:
        size = f"{known['size_bytes'] / 10**6:.{1 if known['size_bytes'] < 10**7 else 0}f} MB"
        _small(say("voices.get_why", language(), size=size))
        busy = models["fetch"] is not None
        st.button(say("voices.get", language()), key=f"get_{name}", on_click=get, disabled=busy, width="stretch")


def _follow(name: str, value: Any, always: bool = False) -> None:
    """Let the widget show `value` where that is not what it was last seen to be, or `always`."""
    seen = f"seen_{name}"
    if always or name not in st.session_state or st.session_state.get(seen) != value:
        st.session_state[name] = st.session_state[seen] = value


def _setter(desk: Desk, name: str) -> Callable[[], None]:
    return lambda: _told(lambda: desk.set(Fields({name: st.session_state[name]})))


def _told(act: Callable[[], object]) -> None:
    """Do it; what is refused is said beside the words."""
    try:
        act()
    except JiyaoError as error:
        st.session_state["problem"] = {"message": error.message(language()), "remedy": error.remedy(language())}


def _ask(what: str) -> None:
    """Have the desk show one of its dialogs."""
    st.session_state["asks"] = (what, st.session_state.get("asks", ("", 0))[1] + 1)


def _nothing() -> None:
    """Running again is all that is wanted."""


def _plain(text: str) -> str:
    """As it is: names of models and reasons are no Markdown."""
    return _MARKUP.sub(r"\\\1", text)
