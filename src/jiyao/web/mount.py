"""The one component on Streamlit's page: it holds <jiyao-desk>, the same element that /desk/ shows alone.

In:  language, what the sidebar asks the desk to show. Out: nothing; the desk talks to /api by itself. When something
changed that the sidebar shows (in another tab, or in the server), the component has the script run again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import streamlit as st

from jiyao.messages import Language, table

_NAME = "jiyao_desk"
_ABOVE = "2.75rem"  # Streamlit's header, where its menu is

# Scripts given as text have an address of their own (blob:): ours is in location
_JS = """
const load = (name) => import(new URL(`/desk/${name}.js`, location.href).href);
const asked = {
  models: () => load("setup").then((it) => it.openSetup()),
  kept: () => load("keep").then((it) => it.openKept()),
  keep: () => load("keep").then((it) => it.switchKeep(true)),
  wipe: () => load("wipe").then((it) => it.askWipe()),
  terms: () => load("terms-box").then((it) => it.openTerms()),
};

// light or dark is Streamlit's to choose: its background tells
function theme(about) {
  const shown = getComputedStyle(document.querySelector(".stApp") ?? document.body).backgroundColor;
  const [red, green, blue] = shown.match(/[\\d.]+/g).map(Number);
  const found = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 128 ? "dark" : "light";
  document.documentElement.dataset.theme = found;
  about.dataset.theme = found;
}

function speak(about, language) {
  const tag = language === "zh" ? "zh-CN" : "en";
  document.documentElement.lang = tag;
  document.documentElement.setAttribute("translate", "no");  // a browser would send the page to a translator
  about.lang = tag;
  try {
    localStorage.setItem("jiyao-language", language);  // so that /desk/ speaks it, too
  } catch {
    // storage switched off
  }
}

// what the sidebar shows; when it changes, the script has to run again
const shown = ({ settings, engine, keep, setup }) =>
  JSON.stringify([settings, engine, keep.on, setup.needed, setup.chosen, setup.rejected, setup.fetch?.model ?? null]);

async function follow(mounted) {
  const { store } = await load("store");
  let before = null;
  let timer = 0;
  const look = () => {
    if (!store.state) return;
    const now = shown(store.state);
    if (before !== null && now !== before) {
      clearTimeout(timer);
      timer = setTimeout(() => mounted.changed(), 300);
    }
    before = now;
  };
  for (const name of ["state", "settings", "setup"]) store.addEventListener(name, look);
  // The desk says in the person's language that the server is gone. Streamlit's dialog about it is in English, speaks
  // of `streamlit run`, and would lie over the text that can still be read and copied
  const dismiss = () => store.online || document.querySelector(".stDialog button[aria-label=Close]")?.click();
  new MutationObserver(dismiss).observe(document.body, { childList: true });
  store.addEventListener("online", dismiss);
}

function mount(parentElement, data) {
  const place = parentElement.querySelector(".jiyao-place");
  const about = document.createElement("jiyao-desk");
  about.setAttribute("shell", "streamlit");
  const mounted = { about, last: data.asks.turn, changed: () => {} };
  parentElement.jiyaoDesk = mounted;
  speak(about, data.language);
  theme(about);
  const watch = new MutationObserver(() => theme(about));
  watch.observe(document.querySelector(".stApp") ?? document.body, { attributes: true, attributeFilter: ["class"] });
  load("desk").then(
    () => {
      place.replaceChildren(about);
      return follow(mounted);
    },
    (error) => {
      console.error(error);
      place.textContent = data.failed;
    },
  );
  return mounted;
}

export default function ({ parentElement, data, setTriggerValue }) {
  const mounted = parentElement.jiyaoDesk ?? mount(parentElement, data);
  mounted.changed = () => setTriggerValue("changed", Date.now());
  speak(mounted.about, data.language);
  theme(mounted.about);
  if (data.asks.turn > mounted.last) {
    mounted.last = data.asks.turn;
    asked[data.asks.what]?.();
  }
}
"""

# Streamlit's room above and below its page, and its sign of a running script, which every click would flash. On wide
# screens the desk's status bar stands in Streamlit's header, between its buttons
_CSS = f"""
jiyao-desk {{ --jy-shell-top: {_ABOVE}; }}
.stApp .stMainBlockContainer {{ padding: {_ABOVE} 1rem 1rem; max-width: none; }}
.stApp .stAppHeader {{ height: {_ABOVE}; min-height: {_ABOVE}; background: var(--st-background-color); }}
.stSidebar [data-testid="stSidebarHeader"] {{ height: {_ABOVE}; margin-bottom: 0; }}
.stApp .jiyao-small {{ margin: 0; padding: 0; font-size: 0.875rem; line-height: 1.5; overflow-wrap: anywhere; }}
.stApp dl.jiyao-small dt {{ margin: 0; font-weight: 400; opacity: 0.75; }}
.stApp dl.jiyao-small dd {{ margin: 0 0 0.5rem; }}
[data-testid="stStatusWidget"] {{ display: none; }}
@media (min-width: 768px) {{
  .stApp .stMainBlockContainer {{ padding: 0 1.5rem 1rem; }}
  jiyao-desk[shell="streamlit"] .jy-top {{
    position: sticky;
    top: 0;
    z-index: 999991;
    height: {_ABOVE};
    margin-inline: 2.5rem;
    padding-block: 0;
    align-content: center;
  }}
}}
"""


def desk_component(language: Language, what: str, turn: int, changed: Callable[[], None]) -> None:
    """Draw it. `what` the desk is asked to show (models, kept, keep, wipe, terms): once for each new `turn`."""
    failed = " ".join(table()["shell.no_desk"].values())
    data: dict[str, Any] = {"language": language, "failed": failed, "asks": {"what": what, "turn": turn}}
    _registered()(data=data, key="desk", on_changed_change=changed)


@cache
def _registered() -> Any:
    return st.components.v2.component(
        _NAME, html='<div class="jiyao-place"></div>', css=_CSS, js=_JS, isolate_styles=False
    )
