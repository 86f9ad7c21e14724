"""Terms on the command line: `jiyao terms extract | import`; what they print is a terms file for `--terms`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from jiyao import glossary, results, seal, settings
from jiyao.console import Console
from jiyao.documents import plain
from jiyao.errors import DocumentError, JiyaoError
from jiyao.glossary.harvest import Candidate, harvest
from jiyao.glossary.tables import terms_text
from jiyao.worker.reading import read_document

app = typer.Typer(no_args_is_help=True, help="Terms: candidates from documents, terms files from tables.")


@app.command("extract")
def terms_extract(
    files: Annotated[
        list[Path], typer.Argument(help="Documents: PPTX, DOCX, XLSX, PDF, MD, TXT, CSV.", show_default=False)
    ],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE|-", help="File; - prints it.")] = "-",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is already there.")] = False,
) -> None:
    """Find what may be terms in documents: a terms file, best first, to be pruned."""
    console = Console(settings.load().ui_language)
    target = None if output == "-" else Path(output)
    if target is not None:
        results.check([target], force)
    # from here on there are texts of documents in memory: nothing leaves, and only the result is written
    seal.guard(seal.Policy("parent", writable=(target.parent,) if target else ()))
    texts, codes = _texts(files, console)
    if texts:
        candidates = harvest(texts)
        if not candidates:
            console.say("terms.nothing_found")
        results.write(target, "".join(_line(one, console) for one in candidates).encode(), force)
    if codes:
        raise typer.Exit(1 if texts else codes[0])


@app.command("import")
def terms_import(
    file: Annotated[Path, typer.Argument(help="A CSV with one or two columns: heard, right.", show_default=False)],
) -> None:
    """Print a table as a terms file."""
    text = terms_text(plain.decoded(_bytes(file)))
    glossary.parse(text)
    results.write(None, (text + "\n" if text else "").encode(), force=False)


def _texts(files: Sequence[Path], console: Console) -> tuple[list[str], list[int]]:
    """Texts of the documents that can be read; exit codes of those that cannot, which are told."""
    texts, codes = [], []
    for file in files:
        try:
            with console.working("terms.reading", name=file.name):
                document = read_document(_bytes(file))
        except JiyaoError as error:
            console.error(error, file.name)
            codes.append(error.exit_code)
            continue
        texts.append(document.text)
        for gap in document.gaps:
            console.tell(f"{file.name}: {console.text(f'documents.gap_{gap}')}")
    return texts, codes


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as cause:
        raise DocumentError("documents.unreadable", path=file) from cause


def _line(one: Candidate, console: Console) -> str:
    """`张工  # 3, 人名`: a term, and a comment."""
    return f"{one.term}  # {one.count}, {console.text(f'terms.kind_{one.kind}')}\n"
