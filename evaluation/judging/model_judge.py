"""A model as a judge, behind any address that speaks OpenAI's protocol. It is asked once for each completion.

Its answers are stored in a file, one per line, so that no question is asked twice, also after a kill. Its verdicts are
shown beside the scores and never change them.
"""

import hashlib
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from algorithms import ConfigError
from evaluation.config import EndpointConfig
from evaluation.scores import ScoredSample

logger = logging.getLogger(__name__)

PROMPT = """Does the final answer of this response agree with the reference answer? Judge the final answer only, not the
way to it. Reply with one word: yes or no.

Question: {question}
Reference answer: {answer}
Response: {completion}"""
_TIMEOUT_SECONDS = 120.0
_TRIES = 3


class Judge:
    """Asks a model whether completions are right."""

    def __init__(self, endpoint: EndpointConfig, cache: Path, concurrency: int = 8) -> None:
        """Read the stored answers.

        Args:
            endpoint: server of the model.
            cache: file of stored answers.
            concurrency: number of questions at a time.
        """
        self.endpoint, self.cache, self.concurrency = endpoint, cache, concurrency
        self.key = key_of(endpoint, "judge")
        self.num_asked = 0
        self._lock = Lock()
        self._known: dict[str, bool | None] = {}
        if cache.is_file():
            for line in cache.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the unfinished last line of a killed evaluation; this question is asked again
                self._known[row["question"]] = row["verdict"]

    def verdicts(self, samples: Sequence[ScoredSample]) -> list[bool | None]:
        """Return the judge's verdicts; None without a gold, without a reply, or without yes or no in the reply."""
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(self._verdict, samples))

    def _verdict(self, sample: ScoredSample) -> bool | None:
        if sample.answer is None:
            return None
        prompt = PROMPT.format(question=sample.question, answer=sample.answer, completion=sample.completion)
        name = hashlib.sha256(f"{self.endpoint.model}\0{prompt}".encode()).hexdigest()
        if name in self._known:
            return self._known[name]
        reply = self._ask(prompt)
        if reply is None:
            return None  # not stored, so the next evaluation asks again
        words = reply.strip().lower().strip(".!*'\" ").split()
        verdict = {"yes": True, "no": False}.get(words[0].strip(".,!*") if words else "")
        with self._lock:
            self._known[name] = verdict
            self.num_asked += 1
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            with self.cache.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"question": name, "verdict": verdict, "reply": reply}) + "\n")
        return verdict

    def _ask(self, prompt: str) -> str | None:
        body = {"model": self.endpoint.model, "temperature": 0, "max_tokens": 16,
                "messages": [{"role": "user", "content": prompt}]}  # fmt: skip
        request = urllib.request.Request(
            f"{self.endpoint.url.rstrip('/')}/chat/completions", data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"},
        )  # fmt: skip
        for attempt in range(_TRIES):
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                    return str(json.load(answer)["choices"][0]["message"]["content"])
            except (urllib.error.URLError, OSError, ValueError, KeyError, IndexError, TypeError) as error:
                logger.warning("the judge did not answer (%d of %d): %s", attempt + 1, _TRIES, error)
        return None


def key_of(endpoint: EndpointConfig, section: str) -> str:
    """Return the key of an endpoint.

    Raises:
        ConfigError: the environment variable for the key is not set.
    """
    if endpoint.key_variable is None:
        return "EMPTY"
    key = os.environ.get(endpoint.key_variable)
    if not key:
        raise ConfigError(f"{section}.key_variable names {endpoint.key_variable}, which is not set in the environment.")
    return key
