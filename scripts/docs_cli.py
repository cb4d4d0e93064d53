"""The reference of the two commands, `corvo` and `corvo-server`, as Markdown, from click."""

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
    """Every command with its usage, arguments, options and examples, line by line."""
    root = click.Context(corvo, info_name="corvo")
    yield "## Options of every command"
    yield ""
    yield from _table(root, [p for p in corvo.params if isinstance(p, SharedOption)])
    for title, commands in CATALOG.items():
        yield f"## {title}"
        yield ""
        for name in commands:
            command = corvo.get_command(root, name)
            if command is None:
                raise SystemExit(f"the catalog has {name!r}, and there is no such command")
            yield from _command(command, click.Context(command, root, info_name=name))
    yield "## The server's own program"
    yield ""
    yield from _command(server, click.Context(server, info_name="corvo-server"))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    path = context.command_path
    depth = "####" if context.parent is not None and context.parent.parent is not None else "###"
    yield f"{depth} {path} {{ #{path.replace(' ', '-')} }}"
    yield ""
    yield _prose(command.help or "")
    yield ""
    yield "```text"
    yield " ".join([path, *command.collect_usage_pieces(context)])
    yield "```"
    yield ""
    own = [p for p in command.get_params(context) if not isinstance(p, SharedOption)]
    yield from _table(context, own)
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


def _table(context: click.Context, parameters: list[click.Parameter]) -> Iterator[str]:
    """What there is to say about parameters. `--help` is on every command."""
    records: list[tuple[str, str]] = []
    for parameter in parameters:
        record: Any = parameter.get_help_record(context)
        if record is not None and record[1] and "--help" not in parameter.opts:
            records.append(record)
    if not records:
        return
    yield "| option | what it does |"
    yield "|---|---|"
    for names, about in records:
        yield f"| `{_cell(names)}` | {_escaped(about)} |"
    yield ""


def _prose(text: str) -> str:
    """Help as Markdown. Paragraphs that click keeps as they are become code."""
    paragraphs = []
    for paragraph in textwrap.dedent(text).strip().split("\n\n"):
        if paragraph.startswith("\b"):
            paragraphs.append("```text\n" + paragraph.removeprefix("\b").strip("\n") + "\n```")
        else:
            paragraphs.append(" ".join(paragraph.split()))
    return "\n\n".join(paragraphs).replace("\f", "")


def _cell(text: str) -> str:
    """Code in a cell of a table, where a bar is no border."""
    return re.sub(r"\s+", " ", text)


def _escaped(text: str) -> str:
    """Words in a cell of a table, in which brackets make no link."""
    return re.sub(r"([\[\]<>*_|])", r"\\\1", _cell(text))
