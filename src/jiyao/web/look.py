"""What Streamlit is told: how it serves, what it leaves out, our colours. All of it in code, none from a file.

In:  the port. Out: `OPTIONS`, in force. A `.streamlit` folder beside us, in the home or where somebody stands is not
read: it could switch on usage reports, open the page to others, or name a theme that has to be fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit.logger
from streamlit import config

_FONT = (
    "PingFang SC, Hiragino Sans GB, Microsoft YaHei UI, Microsoft YaHei, Noto Sans CJK SC, Noto Sans SC, "
    "system-ui, sans-serif"
)

OPTIONS: Mapping[str, Any] = {
    "server.address": "127.0.0.1",
    "server.headless": True,  # the browser is opened by `launch`
    # As the mission wants it. By itself it would let any web page open Streamlit's socket and read the meeting; the
    # Guard that stands before Streamlit refuses every other origin and host (jiyao.api.guard; tests/test_web.py)
    "server.enableCORS": False,
    "server.enableXsrfProtection": True,
    "server.xsrfCookieSameSite": "strict",
    "server.allowedHosts": ["localhost", "127.0.0.1"],
    "server.fileWatcherType": "none",  # it would load changed modules twice
    "server.runOnSave": False,
    "server.allowRunOnSave": False,
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "server.showEmailPrompt": False,
    "server.maxUploadSize": 1,  # MB; recordings go through /api, in memory: Streamlit would write them to the disk
    "server.disconnectedSessionTTL": 30,  # seconds; then what a closed tab had typed into its sidebar is forgotten
    "browser.gatherUsageStats": False,
    "browser.serverAddress": "localhost",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.allowedOrigins": [],  # who may put the page into a frame and talk to it
    "client.showSidebarNavigation": False,
    "global.developmentMode": False,
    "logger.level": "critical",  # `logs` says what a person must know; tracebacks may hold what was said
    "logger.hideWelcomeMessage": True,
    "runner.magicEnabled": False,
    "secrets.files": [],
    "theme.font": _FONT,
    "theme.baseRadius": "8px",
    "theme.buttonRadius": "8px",
    "theme.baseFontSize": 16,
    "theme.paddingTop": "0.25rem",
    "theme.paddingBottom": "2rem",
    "theme.sidebar.paddingTop": "0.25rem",
    "theme.showWidgetBorder": True,
    "theme.light.primaryColor": "#0b6b5d",
    "theme.light.backgroundColor": "#fbfaf8",
    "theme.light.secondaryBackgroundColor": "#ffffff",
    "theme.light.textColor": "#1f2328",
    "theme.light.linkColor": "#0b6b5d",
    "theme.light.borderColor": "#8c877d",
    "theme.light.sidebar.backgroundColor": "#f3f1ed",
    "theme.light.sidebar.secondaryBackgroundColor": "#ffffff",
    "theme.light.sidebar.borderColor": "#8c877d",
    "theme.dark.primaryColor": "#54c8b2",
    "theme.dark.backgroundColor": "#16181b",
    "theme.dark.secondaryBackgroundColor": "#1e2125",
    "theme.dark.textColor": "#e8e6e1",
    "theme.dark.linkColor": "#54c8b2",
    "theme.dark.borderColor": "#7a8089",
    "theme.dark.sidebar.backgroundColor": "#121416",
    "theme.dark.sidebar.secondaryBackgroundColor": "#1e2125",
    "theme.dark.sidebar.borderColor": "#7a8089",
}


def set_options(port: int) -> None:
    """Put OPTIONS in force. Streamlit reads its files where this function of it says they are: nowhere."""
    config.get_config_files = _no_files
    streamlit.logger.set_log_level("CRITICAL")  # or it warns of enableCORS
    config.get_config_options(force_reparse=True, options_from_flags={**OPTIONS, "server.port": port})


def _no_files(file_name: str) -> list[str]:
    return []
