"""Samples rollouts on a vLLM server over HTTP. The run starts the server on its machine, or uses one elsewhere.

All ranks sample from one server. Rank 0 starts it and streams the weights to it; the other ranks only take part in
gathering sharded weights. When a call fails on any rank, all ranks bring the server back together: restart it or wait
for it, send the weights, and repeat the call.

A rollout in flight is one HTTP call in a thread that does nothing else. Prompts become requests and answers become
completions in the caller's thread, and so does everything that ranks do together.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import torch

from algorithms import ConfigError, Prompt
from rollouts.background import BackgroundCall
from rollouts.engine import EngineError, Sampled, SamplingConfig
from rollouts.policy_view import SampledPolicy
from rollouts.ranks import first_failure, gather_ranks, is_first_rank
from rollouts.vllm.client import ServerClient, attempt
from rollouts.vllm.copy_engine import CopyEngine
from rollouts.vllm.guard.policy_rules import check_engine_args
from rollouts.vllm.guard.run_token import TOKEN_VARIABLE, read_token, token_of_environment
from rollouts.vllm.requests import SampledGroup, SampleRequest
from rollouts.vllm.server_process import ServerProcess
from rollouts.vllm.settings import NO_GPU, VLLMSettings
from rollouts.vllm.weights.sender import WeightSender
from rollouts.vllm.wire import SERVER_TAKEN

logger = logging.getLogger(__name__)

# A failure with one of these texts would happen again: a bad setting, or a server that another run uses.
_PERMANENT = ("ConfigError", "ValidationError", "Refusal", SERVER_TAKEN)


class _Flight(NamedTuple):
    """A rollout that the server samples while the learner goes on."""

    prompts: Sequence[Prompt]
    sampling: SamplingConfig
    requests: list[SampleRequest]
    session: str
    version: int
    call: BackgroundCall[tuple[list[SampledGroup] | None, str]]
    """Returns the groups and "", or None and the failure as a text."""


class VLLMServerEngine(CopyEngine):
    """Samples on a vLLM server."""

    samples_apart = True

    def __init__(
        self,
        settings: VLLMSettings = VLLMSettings(),  # noqa: B008  (frozen)
        url: str | None = None,
        environment: dict[str, str] | None = None,
        timeout_s: float = 3600.0,
        max_restarts: int = 3,
        token_file: str | None = None,
    ) -> None:
        """Remember the settings; the server is started or called with the first rollout.

        Args:
            settings: how vLLM runs the policy; sent to the server.
            url: address of a running ``python -m rollouts.vllm.server``; null starts a server on this machine and ends
                it again.
            environment: variables for a server started here, such as ``CUDA_VISIBLE_DEVICES``.
            timeout_s: longest wait for an answer, in seconds, and for a server elsewhere to come back.
            max_restarts: number of failures of a run that are repaired; a further failure stops the run.
            token_file: token file of the server at ``url``, which the server has printed; null: the token is in the
                environment variable ``ROLLOUT_SERVER_TOKEN``. A server started here gets a token of its own.
        """
        if url is not None and (urlsplit(url).scheme != "http" or not urlsplit(url).hostname):
            raise ConfigError(f"model.engine.url must look like http://HOST:PORT, got {url!r}.")
        if url is not None and environment:
            raise ConfigError(
                "model.engine.environment is for a server started here: leave it out, or model.engine.url."
            )
        if url is None and token_file is not None:
            raise ConfigError("model.engine.token_file is for a server at model.engine.url: leave it out, or set both.")
        if TOKEN_VARIABLE in (environment or {}):
            raise ConfigError(
                f"model.engine.environment must not have {TOKEN_VARIABLE}: the run writes its config to disk, where "
                "others may read it. A server started here gets a token by itself."
            )
        check_engine_args(settings.engine_args)
        if settings.weight_transfer == "nccl" and not torch.cuda.is_available():
            raise ConfigError(NO_GPU.format(where="it"))
        super().__init__(settings)
        self._sender = WeightSender(settings)
        self.url, self.environment = url, environment
        self.token_file = Path(token_file).expanduser() if token_file else None
        if url is not None:
            self._token_of_url()  # a bad token stops the run here and not at the first rollout
        self.timeout_s, self.max_restarts = timeout_s, max_restarts
        self.process: ServerProcess | None = None
        """The server, on the rank that started it."""

        self._address, self._session, self._token = "", "", ""
        self._flight: _Flight | None = None

    def sync(self, policy: SampledPolicy, *, version: int) -> None:
        """Send the weights that changed since the last time; all of them the first time, none for the same version.

        Raises:
            EngineError: after more than ``max_restarts`` failures, or after a failure that would happen again.
        """
        if self._has_weights_of(policy, version):
            return
        if self._flight is not None:
            self.wait()
            # Waits for the flights of all ranks: they share the server, and rank 0 is about to replace its weights.
            gather_ranks(None)
        while failure := self._try_sync(policy, version):
            self._prepare_retry(failure)

    def start(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> None:
        """Send the requests of a rollout, and return without its completions.

        Raises:
            ConfigError: for a temperature that vLLM refuses.
            EngineError: while another rollout is in flight, and before the first ``sync``.
        """
        if self._flight is not None:
            raise EngineError("a rollout is in flight already: call finish() before the next start().")
        requests = self._requests(prompts, sampling, seed)
        version = self._version
        assert version is not None  # there are requests, so there are weights
        client, session = self._client(), self._session

        def sample() -> tuple[list[SampledGroup] | None, str]:
            return attempt(lambda: client.sample(session, requests, version)) if requests else ([], "")

        call = BackgroundCall(sample, name="rollout in flight")
        self._flight = _Flight(
            prompts=prompts, sampling=sampling, requests=requests, session=session, version=version, call=call
        )

    def finish(self, *, version: int) -> Sampled:
        """Return the rollout in flight; where the server failed on any rank, all ranks sample it again.

        Raises:
            EngineError: when nothing is in flight, and when there were too many failures.
        """
        if (flight := self._flight) is None:
            return super().finish(version=version)
        groups, failure = flight.call.result()
        failure = first_failure(failure)
        # The flight is forgotten before a repair, because the repair replaces it and must not wait for it.
        self._flight = None
        sampled_by = flight.version
        if failure:
            groups, sampled_by = self._sampled_again(flight, failure, version), version
        completions = self._completions(flight.prompts, flight.sampling, groups or [])
        return Sampled(groups=completions, policy_version=sampled_by, seconds=flight.call.seconds)

    def wait(self) -> None:
        """Block until the server has answered this rank, or failed."""
        if self._flight is not None:
            self._flight.call.wait()

    def shut_down(self) -> None:
        """End the server, if this run started it."""
        self._sender.close()
        if self.process is not None:
            self.process.stop()
        self.process, self._session, self._version, self._flight = None, "", None, None

    def _sampled_again(self, flight: _Flight, failure: str, version: int) -> list[SampledGroup]:
        policy = self._policy
        assert policy is not None  # something was in flight
        # The session has changed: a sync met the same failure and has brought the server back already.
        if flight.session == self._session:
            self._prepare_retry(failure)
        logger.warning(
            "the rollout in flight is lost, and is sampled again by the weights of step %d instead of %d: this run "
            "ends unlike one whose server did not fail",
            version,
            flight.version,
        )
        self.sync(policy, version=version)
        return self._sample(flight.requests)

    def _sample(self, requests: Sequence[SampleRequest]) -> list[SampledGroup]:
        self.wait()
        policy, version = self._policy, self._version
        # ``generate`` has checked policy and version.
        assert policy is not None
        assert version is not None
        while True:
            groups, failure = self._try_sample(requests, version)
            if not failure:
                return groups
            self._prepare_retry(failure)
            self.sync(policy, version=version)

    # --- attempts: each returns what failed on any rank, the same on all ranks; "" is success -------------------

    def _try_sync(self, policy: SampledPolicy, version: int) -> str:
        if policy is not self._policy:
            self._session = ""
        filled_session = self._session if self._version is not None else None
        self._policy, self._version = policy, None
        if failure := self._try_connect(policy):
            return failure
        # A server that was started or given this policy anew has no weights at all.
        has_frozen = filled_session == self._session
        report, failure = self._sender.send(
            self._client(), self._session, policy, only_trainable=has_frozen, version=version
        )
        if report is not None:
            self._version, self.last_sync = version, report
        return failure

    def _try_connect(self, policy: SampledPolicy) -> str:
        """Make sure that a server runs and has this policy, with or without weights."""
        failure = ""
        if is_first_rank():
            _, failure = attempt(lambda: self._connect(policy))
        # All ranks get the address, token and session of rank 0.
        shared = self._address, self._session, self._token, failure
        self._address, self._session, self._token, failure = gather_ranks(shared)[0]
        return failure

    def _connect(self, policy: SampledPolicy) -> None:
        if self.url is not None:
            # The token is read each time, because a server that was started anew has a new token.
            self._address, self._token = urlsplit(self.url).netloc, self._token_of_url()
            self._client().wait_until_up()
        elif self.process is not None and not self.process.is_running and self._session:
            raise EngineError("its process has ended")
        elif self.process is None or not self.process.is_running:
            allows_transfer = self.settings.weight_transfer != "http"
            self.process = ServerProcess(self.environment, allows_transfer=allows_transfer)
            self._address, self._session = urlsplit(self.process.url).netloc, ""
            self._token = self.process.token
        if not self._session:
            self._session = self._client().send_policy(self._policy_files(policy), self.settings)

    def _token_of_url(self) -> str:
        """Return the token of the server at ``url``.

        Raises:
            ConfigError: when there is none, or not in a private file.
        """
        if self.token_file is not None:
            return read_token(self.token_file)
        if (token := token_of_environment()) is None:
            raise ConfigError(
                f"model.engine.token_file must name the token file of the server at {self.url}, which it printed when "
                f"it started; or set the environment variable {TOKEN_VARIABLE} to the token."
            )
        return token

    def _try_sample(self, requests: Sequence[SampleRequest], version: int) -> tuple[list[SampledGroup], str]:
        groups, failure = None, ""
        # A rank without prompts sends no request, but must know the failures of other ranks.
        if requests:
            groups, failure = attempt(lambda: self._client().sample(self._session, requests, version))
        return groups or [], first_failure(failure)

    def _prepare_retry(self, failure: str) -> None:
        """Count a failure, and forget the server's session, so that the next attempt starts from the policy.

        Raises:
            EngineError: when there were too many failures, or another attempt would fail too.
        """
        self.num_restarts += 1
        if self.num_restarts > self.max_restarts or any(text in failure for text in _PERMANENT):
            self.shut_down()
            raise EngineError(f"the vLLM server failed {self.num_restarts} time(s); the last time: {failure}")
        logger.warning("the vLLM server failed and is brought back: %s", failure)
        # A server that failed may hang, so it is killed and started anew.
        if self.process is not None:
            self.process.stop()
        self._session, self._version = "", None

    def _client(self) -> ServerClient:
        return ServerClient(self._address, self.timeout_s, self._token)
