"""vLLM as a server: samples for one training run, in a process or on a machine of its own.

    python -m rollouts.vllm.server --port 8000             # on the machine with the GPUs; prints where its token is
    python train.py fit ... --model.engine.url=http://HOST:8000 --model.engine.token_file=FILE

The server starts without a model. The training run sends the policy's config and processor, then the weights, and after
every update the weights that changed. So no setting is needed twice. The server works for the run that sent a policy
last; requests of earlier runs are refused. Every request needs the server's token; docs/security.md explains what the
token protects from.

    GET  /health            {"is_ready", "version"}
    POST /policy            JSON, see rollouts/vllm/wire.py  ->  {"session"}
    POST /weights           chunked safetensors
    POST /generate          JSON  ->  JSON
    POST /init_weight_transfer_engine, /start_weight_update, /update_weights, /finish_weight_update
                            JSON as vLLM's own server takes it; with --allow-weight-transfer only

A refusal is a status and {"error": sentence}.
"""

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

import huggingface_hub.constants

from algorithms import ConfigError
from rollouts.vllm.guard.limits import Limits
from rollouts.vllm.guard.run_token import (
    TOKEN_VARIABLE,
    new_token,
    token_file_of,
    token_of_environment,
    write_token,
)
from rollouts.vllm.model_thread import ModelThread
from rollouts.vllm.request_handler import RolloutServer


def http_server(
    model: ModelThread,
    host: str,
    port: int,
    token: str,
    *,
    allowed_hosts: Collection[str] = (),
    limits: Limits = Limits(),  # noqa: B008  (frozen)
    allows_transfer: bool = False,
) -> RolloutServer:
    """Return a server that listens, and answers in a thread of its own.

    Args:
        model: the model that requests use; some thread must run ``ModelThread.run``.
        host: interface to listen on.
        port: 0 takes a free one, which ``server_port`` of the result names.
        token: what every request must show.
        allowed_hosts: names by which requests may ask for the server, besides this machine's own.
        limits: what one sender may cost the server.
        allows_transfer: whether a run may have the server connect to it for vLLM's weight transfer.
    """
    server = RolloutServer(
        model, (host, port), token, allowed_hosts=allowed_hosts, limits=limits, allows_transfer=allows_transfer
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def end_with_parent() -> None:
    """Kill this process and its children when standard input closes, which happens however the parent ends."""
    sys.stdin.buffer.read()
    os.killpg(os.getpgid(0), signal.SIGKILL)


def stay_offline() -> None:
    """Stop Hugging Face libraries, also in processes started later, from downloading what a policy's files may name."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    # The library has read the environment when it was imported, so its own variable is set too.
    huggingface_hub.constants.HF_HUB_OFFLINE = True


def announce(token: str, token_file: Path | None, port: int) -> None:
    """Write the token into a file that only this user can read, and print the file's path but never the token.

    Raises:
        ConfigError: for a file that would be overwritten.
    """
    path = token_file or token_file_of(socket.gethostname(), port)
    write_token(path, token)
    sys.stderr.write(f"The token is in a file that only you can read: --model.engine.token_file={path.absolute()}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="interface to listen on; 0.0.0.0 for other machines")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--token-file", type=Path, help="where to write the token; ~/.cache/rollouts/ by default")
    parser.add_argument("--allowed-host", action="append", default=[], help="further NAME or NAME:PORT to answer to")
    parser.add_argument(
        "--allow-weight-transfer",
        action="store_true",
        help="let runs send weights over NCCL or gloo; see docs/security.md",
    )
    parser.add_argument("--end-with-parent", action="store_true", help="end when standard input closes")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until killed; the first line printed is the port."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.end_with_parent:
        threading.Thread(target=end_with_parent, daemon=True).start()
    stay_offline()
    model = ModelThread()
    try:
        given = token_of_environment()
        # Out of the environment, which vLLM's own processes inherit.
        os.environ.pop(TOKEN_VARIABLE, None)
        token = given or new_token()
        server = http_server(
            model,
            options.host,
            options.port,
            token,
            allowed_hosts=options.allowed_host,
            allows_transfer=options.allow_weight_transfer,
        )
        # The user who set the variable knows the token already.
        if given is None or options.token_file is not None:
            announce(token, options.token_file, server.server_port)
    except ConfigError as error:
        parser.error(str(error))
    # The parent process reads the port and no further, so anything that vLLM prints to standard output would fill the
    # pipe and then block. It goes to standard error from here on.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        out.write(f"{server.server_port}\n")
    # vLLM gets the main thread, HTTP another one.
    model.run()


if __name__ == "__main__":
    main()
