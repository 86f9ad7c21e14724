"""Kept texts on the command line: the vault opened by key store or passphrase; `jiyao vault list | export | delete`."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from jiyao import results, settings, vault
from jiyao.console import Console
from jiyao.errors import UsageError, VaultError
from jiyao.results import Delivery
from jiyao.settings import Settings
from jiyao.vault import Kept, Keyring, Passphrase, Vault

_STORE_IS_NO_USE = ("vault.no_keyring", "vault.keyring_refused")
_SHORTEST_ID = 4

app = typer.Typer(no_args_is_help=True, help="Kept texts: list, export, delete.")


def folder(chosen: Settings) -> Path:
    """Where the vault lies; it may be missing."""
    return chosen.home / "vault"


def opened(chosen: Settings, console: Console, *, create: bool = True) -> Vault:
    """The vault, by the key store where it can be used, else by a passphrase: asked for on a terminal, else the first
    line of standard input. Raises VaultError; UsageError where two entries of a new passphrase differ."""
    place = folder(chosen)
    try:
        return Vault.open(place, Keyring(), create=create)
    except VaultError as error:
        new = error.key in _STORE_IS_NO_USE and not vault.exists(place)
        if error.key != "vault.needs_passphrase" and not new:
            raise
    return Vault.open(place, Passphrase(_passphrase(console, new)), create=create)


def _passphrase(console: Console, new: bool) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(console.text("kept.new_passphrase" if new else "kept.passphrase"), sys.stderr)
    if new and getpass.getpass(console.text("kept.once_more"), sys.stderr) != first:
        raise UsageError("kept.differ")
    return first


@app.command("list")
def vault_list() -> None:
    """Show the recordings whose texts are kept."""
    chosen = settings.load()
    console = Console(chosen.ui_language)
    with opened(chosen, console, create=False) as kept:
        console.kept(kept.recordings())


@app.command("export")
def vault_export(
    recording: Annotated[str, typer.Argument(help="Its name, or the start of its id, from `vault list`.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR|-", help="Folder; - prints one format.")] = ".",
    formats: Annotated[str, typer.Option("-f", "--format", help="As for transcribe.")] = "txt,json",
    force: Annotated[bool, typer.Option("--force", help="Replace results that are already there.")] = False,
) -> None:
    """Write a kept text to files, finished or not."""
    chosen = settings.load()
    console = Console(chosen.ui_language)
    names = results.formats(formats)
    with opened(chosen, console, create=False) as kept:
        one = _found(kept, recording)
        transcript = kept.transcript(one.source.sha256, chosen.script, chosen.ui_language)
    name = Path(Path(one.source.name).name or one.source.sha256[:12])
    [targets] = results.targets([name], output, names).values()
    results.check(targets, force)
    Delivery(names, force, console).whole(transcript, targets)
    for target in targets:
        console.say("kept.exported", target=target)


@app.command("delete")
def vault_delete(
    recording: Annotated[
        str | None, typer.Argument(help="Its name, or the start of its id, from `vault list`.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All texts and the key; needs no passphrase.")] = False,
) -> None:
    """Overwrite and delete a kept text, or all."""
    chosen = settings.load()
    console = Console(chosen.ui_language)
    if everything == (recording is not None):
        raise UsageError("kept.one_or_all")
    if recording is None:
        console.tell(vault.erase(folder(chosen)).message(chosen.ui_language))
        return
    with opened(chosen, console, create=False) as kept:
        console.tell(kept.delete(_found(kept, recording).source.sha256).message(chosen.ui_language))


def _found(kept: Vault, wanted: str) -> Kept:
    """By the start of its id, else by name. Raises UsageError where there is none, or more than one."""
    everything = kept.recordings()
    by_id = [one for one in everything if len(wanted) >= _SHORTEST_ID and one.source.sha256.startswith(wanted.lower())]
    found = by_id or [one for one in everything if one.source.name == wanted]
    if len(found) != 1:
        raise UsageError("kept.unclear", name=wanted, count=len(found))
    return found[0]
