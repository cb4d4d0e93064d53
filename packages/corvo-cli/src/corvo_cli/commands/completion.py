"""`corvo completion`."""

import click
from click.shell_completion import get_completion_class

from corvo_cli.command import Command
from corvo_cli.parameters import Choice
from corvo_cli.session import Session, pass_session

PROGRAM = "corvo"
VARIABLE = "_CORVO_COMPLETE"


@click.command(
    cls=Command,
    examples="""
    eval "$(corvo completion bash)"                                     in ~/.bashrc
    eval "$(corvo completion zsh)"                                      in ~/.zshrc
    corvo completion fish > ~/.config/fish/completions/corvo.fish       once
    """,
)
@click.argument("shell", type=Choice(["bash", "zsh", "fish"]))
@pass_session
def completion(session: Session, shell: str) -> None:
    """Print the completion script for a shell.

    The script completes commands, options and their values, and the queues of the server.
    """
    context = click.get_current_context().find_root()
    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - click has all three
        raise click.UsageError(f"There is no completion for {shell}.")
    script = kind(context.command, {}, PROGRAM, VARIABLE)
    # `source()` would run bash to check its version, which fails without bash.
    text = script.source_template % script.source_vars()
    session.output.lines([text.strip("\n")])
