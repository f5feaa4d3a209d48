"""Sends the weights of a run to a server: streamed over HTTP, or by vLLM's weight transfer."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from algorithms import ConfigError
from rollouts.engine import CountedWeights, SyncReport
from rollouts.policy_view import SampledPolicy
from rollouts.ranks import first_failure, is_first_rank, rank_and_world_size
from rollouts.vllm.client import ServerClient, attempt
from rollouts.vllm.patches import quiet_vllm
from rollouts.vllm.process_state import restored_process_state
from rollouts.vllm.settings import VLLMSettings

if TYPE_CHECKING:
    from rollouts.vllm.weights.transfer import WeightTransfer


class WeightSender:
    """Sends each tensor once, also a tied tensor with several names. Every method is called on all ranks."""

    def __init__(self, settings: VLLMSettings) -> None:
        """Remember how weights travel."""
        self._settings = settings
        self._transfer: WeightTransfer | None = None
        self._transfer_session = ""
        # The session and the version that every step of a transfer sends to the server.
        self._client: ServerClient | None = None
        self._session, self._version = "", 0

    def send(
        self, client: ServerClient, session: str, policy: SampledPolicy, *, only_trainable: bool, version: int
    ) -> tuple[SyncReport | None, str]:
        """Return a report of the sent tensors and "", or None and the failure of any rank as a text.

        Args:
            client: the server; only the client of the first rank is used.
            session: the run's session at the server.
            policy: the policy whose weights are sent.
            only_trainable: leave out tensors that no optimizer step changes.
            version: optimizer steps behind the weights.
        """
        tied, merge_lora = policy.tied_names, self._settings.lora == "merged"

        def stream() -> Iterator[tuple[str, Tensor]]:
            weights = policy.stream_weights(only_trainable=only_trainable, merge_lora=merge_lora)
            # A head that is tied to the embeddings is the largest tensor of a small model.
            return ((name, tensor) for name, tensor in weights if name not in tied)

        started, counted = time.perf_counter(), CountedWeights(stream())
        self._client, self._session, self._version = client, session, version
        if self._settings.weight_transfer == "http":
            failure = ""
            if is_first_rank():
                _, failure = attempt(lambda: client.send_weights(session, counted, version, tied))
            # Gathering sharded weights is a collective call per tensor, so every rank must iterate to the end: rank 0
            # too when the server failed in the middle.
            for _ in counted:
                pass
        else:
            _, failure = attempt(lambda: self._connect(tied))
            # All ranks agree on this before sending starts: a rank without connection would not take part in gathering.
            if failure := first_failure(failure):
                return None, failure
            transfer: Any = self._transfer
            learning = [name for name, p in policy.model.named_parameters() if p.requires_grad]
            kind = ",".join(learning) if only_trainable else "all"
            _, failure = attempt(lambda: transfer.send(stream, counted, kind=kind))
        if failure := first_failure(failure):
            self.close()
            return None, failure
        return counted.report(time.perf_counter() - started), ""

    def close(self) -> None:
        """Leave the server's workers."""
        if self._transfer is not None:
            self._transfer.close()
        self._transfer, self._transfer_session = None, ""

    def _connect(self, tied: Any) -> None:
        """Meet the workers of a server that has been given a policy."""
        if self._transfer is not None and self._transfer_session == self._session:
            return
        self.close()
        try:
            # Importing vLLM changes environment variables and the number of threads.
            with restored_process_state():
                quiet_vllm()
                from rollouts.vllm.weights.transfer import WeightTransfer
        except ImportError as error:
            raise ConfigError(
                f"model.engine.settings.weight_transfer={self._settings.weight_transfer} needs vLLM beside the learner "
                f"too, which cannot be imported here ({error}): install it, or set http."
            ) from error
        client: Any = self._client
        args = self._settings.engine_args
        self._transfer = WeightTransfer(
            self._settings.weight_transfer,
            lambda step, arguments: client.take_step(step, arguments, self._session, self._version),
            rank=rank_and_world_size()[0],
            server=client.address,
            num_workers=self._settings.tensor_parallel_size * args.get("pipeline_parallel_size", 1),
            tied=tied,
        )
        self._transfer_session = self._session
