"""The token of a server, which is new at every start and shared through a private file or the environment.

It is never on a command line, which every user of a machine can read, and never in a log.
"""

import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from algorithms import ConfigError

TOKEN_VARIABLE = "ROLLOUT_SERVER_TOKEN"
"""Environment variable that holds the token, of a server and of a training run alike."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,256}")
_HOW = "`python -c 'import secrets; print(secrets.token_urlsafe())'` makes one"


def new_token() -> str:
    """Return 256 random bits as 43 characters."""
    return secrets.token_urlsafe(32)


def is_token(given: str, token: str) -> bool:
    """Return whether a sender has the token; the time does not depend on how many characters are right."""
    # Compared as bytes, because the comparison refuses text outside of ASCII, which a sender may send.
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


def token_of_environment() -> str | None:
    """Return the token that the environment holds, or None.

    Raises:
        ConfigError: for a token that is too short, that is empty, or that has other characters than a token.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    if token is not None and not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"{TOKEN_VARIABLE} must be 32 to 256 letters, digits, - and _, and has {len(token)} characters: a token "
            f"that can be guessed protects nothing; {_HOW}."
        )
    return token


def token_file_of(host_name: str, port: int) -> Path:
    """Return the default file of a server's token, in the user's home, for this machine and port."""
    return Path.home() / ".cache" / "rollouts" / f"vllm-server-{host_name}-{port}.token"


def write_token(path: Path, token: str) -> None:
    """Write the token into a file that only its owner can read, in place of an older token.

    Raises:
        ConfigError: when the path holds a file that is no token and would be overwritten.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_symlink() or (path.exists() and not _holds_token(path)):
        raise ConfigError(f"--token-file must be a new file or an older token, got {path}: it would be overwritten.")
    # Written under another name and renamed, so that no reader sees half a token; O_EXCL does not follow links.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
    beside.replace(path)


def read_token(path: Path) -> str:
    """Return the token of a file.

    Raises:
        ConfigError: when there is no token, or when users other than the owner can read the file or could have written
            it.
    """
    key = f"model.engine.token_file={path}"
    try:
        # Without O_NONBLOCK opening a named pipe would block until another process writes into it.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK)) as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise ConfigError(f"{key} must be a file, and is something else.")
            if state.st_uid != os.geteuid():
                raise ConfigError(f"{key} must belong to the user of this run: another user wrote it.")
            if state.st_mode & 0o077:
                raise ConfigError(f"{key} must be readable by its owner only: others can read it; `chmod 600` it.")
            token = file.read(1024).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key} cannot be read: {error}. A server prints where its token file is.") from error
    if not _TOKEN.fullmatch(token):
        raise ConfigError(f"{key} must hold the token of a server, 32 to 256 letters, digits, - and _.")
    return token


def _holds_token(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= 1024 and bool(_TOKEN.fullmatch(path.read_text("latin-1").strip()))
