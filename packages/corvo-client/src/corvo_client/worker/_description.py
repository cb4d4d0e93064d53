"""Texts about objects of handlers, whose own methods may fail or return anything."""

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

MAX_ERROR_CHARS = 8_192
"""Maximum length of an error text. The server refuses requests that are too large."""

MAX_BACKTRACE_CHARS = 32_768

_OUR_FOLDER = str(Path(__file__).parents[1])


class RemoteTraceback(Exception):
    """Cause of an error from another process. It has the backtrace of that process."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Description:
    """An error as text. `is_whole` is false if a text was cut or could not be made."""

    text: str
    backtrace: str
    is_whole: bool


def describe(error: BaseException) -> Description:
    """Return the type, message and backtrace of an error. Never raises.

    The message keeps its first 8,192 characters, the backtrace its last 32,768.
    """
    name = _made(lambda: type(error).__name__)
    message = _made(lambda: str(error))
    backtrace = _made(lambda: _backtrace_of(error))
    shown = "its message cannot be shown" if message is None else message
    head = "an error whose type has no name" if name is None else name
    text = f"{head}: {shown}" if shown else head
    end = (backtrace or "")[-MAX_BACKTRACE_CHARS:]
    safe_text, safe_end = cut(text), _encodable(end)
    is_whole = None not in {name, message, backtrace}
    return Description(safe_text, safe_end, is_whole and (safe_text, safe_end) == (text, backtrace))


def text_of(value: object) -> str:
    """Return `value` as text of at most 8,192 characters: an error with its type. Never raises."""
    with contextlib.suppress(BaseException):  # `isinstance` may call a property of the object
        if isinstance(value, BaseException):
            return describe(value).text
    text = _made(lambda: str(value))
    return "a value that cannot be shown" if text is None else cut(text)


def cut(text: str, limit: int = MAX_ERROR_CHARS) -> str:
    """Return the text with at most `limit` characters. It says how long a longer one was."""
    if len(text) > limit:
        end = f"… ({len(text):,} characters)"
        text = text[: limit - len(end)] + end
    return _encodable(text)


def own_frames(error: BaseException) -> TracebackType | None:
    """Return the traceback of an error without the outer frames of this package.

    The reader of a failure needs only the frames of the handler.
    """
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OUR_FOLDER):
        frames = frames.tb_next
    return frames


def _backtrace_of(error: BaseException) -> str:
    if isinstance(error.__cause__, RemoteTraceback):
        return error.__cause__.text
    return "".join(traceback.format_exception(type(error), error, own_frames(error)))


def _made(make: Callable[[], str]) -> str | None:
    """Return the text that `make` returns; None if it raises anything or returns something else."""
    try:
        # A subclass of str may override the methods that are called next.
        return str.__str__(make())
    except BaseException:  # noqa: BLE001 - code of any class runs here
        return None


def _encodable(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode, by their escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
