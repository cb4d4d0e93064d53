"""Render the reference of the commands `corvo` and `corvo-server` as Markdown, from click."""

import re
import textwrap
from collections.abc import Iterator
from typing import Any

import click

from corvo_cli.catalog import CATALOG
from corvo_cli.command import SharedOption
from corvo_cli.root import corvo
from corvo_server.cli import server


def cli_reference() -> Iterator[str]:
    """Yield the lines on every command: usage, arguments, options and examples."""
    root = click.Context(corvo, info_name="corvo")
    yield "## Options of every command"
    yield ""
    yield from _options(root, [p for p in corvo.params if isinstance(p, SharedOption)])
    for title, commands in CATALOG.items():
        yield f"## {title}"
        yield ""
        for name in commands:
            command = corvo.get_command(root, name)
            if command is None:
                raise SystemExit(f"corvo_cli.catalog names the unknown command {name!r}")
            yield from _command(command, click.Context(command, root, info_name=name))
    yield "## The server program"
    yield ""
    yield from _command(server, click.Context(server, info_name="corvo-server"))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    path = context.command_path
    depth = "####" if context.parent is not None and context.parent.parent is not None else "###"
    yield f"{depth} {path}"
    yield ""
    yield _prose(command.help or "")
    yield ""
    yield "```text"
    yield " ".join([path, *command.collect_usage_pieces(context)])
    yield "```"
    yield ""
    own = [p for p in command.get_params(context) if not isinstance(p, SharedOption)]
    yield from _options(context, own)
    examples = textwrap.dedent(getattr(command, "examples", "").strip("\n"))
    if examples:
        yield "```bash"
        yield examples
        yield "```"
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _command(child, click.Context(child, context, info_name=name))


def _options(context: click.Context, parameters: list[click.Parameter]) -> Iterator[str]:
    """Yield a list of parameters; `--help` is left out, because every command has it.

    A list and not a table: the names of choices contain bars, which would end a cell.
    """
    records: list[tuple[str, str]] = []
    for parameter in parameters:
        record: Any = parameter.get_help_record(context)
        if record is not None and record[1] and "--help" not in parameter.opts:
            records.append(record)
    if not records:
        return
    for names, about in records:
        yield f"- `{_line(names)}`: {_escaped(about)}"
    yield ""


def _prose(text: str) -> str:
    """Return help text as Markdown; paragraphs that click does not wrap become code blocks."""
    paragraphs = []
    for paragraph in textwrap.dedent(text).strip().split("\n\n"):
        if paragraph.startswith("\b"):
            paragraphs.append("```text\n" + paragraph.removeprefix("\b").strip("\n") + "\n```")
        else:
            paragraphs.append(" ".join(paragraph.split()))
    return "\n\n".join(paragraphs).replace("\f", "")


def _line(text: str) -> str:
    """Return text on one line."""
    return re.sub(r"\s+", " ", text)


def _escaped(text: str) -> str:
    """Return text on one line as Markdown; a trailing `[default: x]` gets parentheses."""
    text = re.sub(r"\[([^\[\]]*)\]$", r"(\1)", _line(text))
    return re.sub(r"([\[\]<>*])", r"\\\1", text)
