"""An evaluation that is killed goes on where it was, with real evalscope; a server that dies in it costs no sample."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from evaluation.config import EndpointConfig, EvaluationConfig, GenerationConfig, ServerConfig
from evaluation.driving.harness import num_finished
from evaluation.evaluate import evaluate
from evaluation.fixtures import write_fixture
from tests.evaluation.answers import ACCURACY, SAID, reply_of
from tests.evaluation.fake_endpoint import FakeEndpoint
from tests.evaluation.processes import wait_until, with_words
from tests.evaluation.test_server import fake_vllm

pytestmark = pytest.mark.evaluation

GREEDY = GenerationConfig(max_tokens=64, temperature=0.0, top_p=1.0, repetition_penalty=1.0, num_runs=1, pass_at=())
FLAGS = ["--generation.temperature=0", "--generation.num_runs=1", "--generation.pass_at=[]", "--harness.concurrency=1"]


def command(folder: Path, endpoint: FakeEndpoint) -> list[str]:
    return [
        sys.executable, "-m", "evaluation", "--benchmarks", "pope", f"--endpoint.url={endpoint.url}",
        "--endpoint.model=fake", f"--out={folder / 'out'}", f"--data.pope={folder / 'data'}", *FLAGS,
    ]  # fmt: skip


def test_a_killed_evaluation_goes_on_where_it_was_and_leaves_no_process(tmp_path: Path) -> None:
    write_fixture("pope", tmp_path / "data")
    with FakeEndpoint(reply_of("pope"), seconds=1.0) as endpoint:
        killed = subprocess.Popen(command(tmp_path, endpoint), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        work = tmp_path / "out/fake/pope"
        finished = lambda: sum(num_finished(folder / "evalscope") for folder in work.glob("*"))  # noqa: E731
        assert wait_until(lambda: finished() >= 3, seconds=120)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert wait_until(lambda: with_words("evalscope", str(tmp_path)) == [])
        kept = finished()
        assert 3 <= kept < len(SAID["pope"])
        asked_before = len(endpoint.asked)
        ended = subprocess.run(command(tmp_path, endpoint), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr[-3000:]
        assert len(endpoint.asked) - asked_before == len(SAID["pope"]) - kept
        # A third time there is nothing left to do.
        again = subprocess.run(command(tmp_path, endpoint), capture_output=True, text=True, check=False)
        assert "was finished before" in again.stderr
        assert len(endpoint.asked) - asked_before == len(SAID["pope"]) - kept
    assert f"{100 * ACCURACY['pope']:.1f} %" in ended.stdout
    assert wait_until(lambda: with_words(str(tmp_path)) == [])


def test_a_server_that_dies_in_the_middle_is_restarted_and_costs_no_sample(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_fixture("pope", tmp_path / "data")
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "config.json").write_text("{}")
    (policy / "model.safetensors").write_bytes(b"0")
    program = fake_vllm(tmp_path)
    config = EvaluationConfig(
        policy=str(policy), benchmarks=("pope",), out=str(tmp_path / "out"), data={"pope": str(tmp_path / "data")},
        generation=GREEDY, server=ServerConfig(python=str(program), flags={"fake-seconds": 1}, start_seconds=60),
    )  # fmt: skip
    work = tmp_path / "out/policy/pope"

    def kill_once() -> None:
        wait_until(lambda: any(num_finished(folder / "evalscope") for folder in work.glob("*")), seconds=120)
        for pid in with_words("fake_endpoint.py", str(policy)):
            if b"keeper.py" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_once)
    killer.start()
    with caplog.at_level("WARNING"):
        (outcome,) = evaluate(config)
    killer.join()
    assert "started again" in caplog.text
    assert outcome.num_failed == 0
    assert outcome.summary is not None
    # It always says yes, which is right for half of the questions.
    assert (outcome.summary.num_samples, outcome.summary.accuracy) == (len(SAID["pope"]), 0.5)
    assert wait_until(lambda: with_words(str(tmp_path)) == [])


def test_a_request_that_fails_costs_its_sample_alone(tmp_path: Path) -> None:
    write_fixture("pope", tmp_path / "data")
    scripted = reply_of("pope")
    with FakeEndpoint(lambda text: 500 if "thing 1 " in text else scripted(text)) as endpoint:
        config = EvaluationConfig(
            endpoint=EndpointConfig(url=endpoint.url, model="fake"), benchmarks=("pope",), out=str(tmp_path / "out"),
            data={"pope": str(tmp_path / "data")}, generation=GREEDY,
        )  # fmt: skip
        (outcome,) = evaluate(config)
    assert outcome.num_failed == 1
    assert outcome.summary is not None
    # Question 1 was answered wrongly: six of the seven that are left are right.
    assert (outcome.summary.num_samples, outcome.summary.accuracy) == (7, pytest.approx(6 / 7))
    assert "1 requests failed" in (tmp_path / "out/fake/table.md").read_text()


def test_several_runs_of_a_question_give_pass_at_one_and_pass_at_k(tmp_path: Path) -> None:
    write_fixture("aime24", tmp_path / "data")
    counts: dict[str, int] = {}

    def every_second_time(text: str) -> str:
        counts[text] = counts.get(text, 0) + 1
        return r"\boxed{204}" if counts[text] % 2 else r"\boxed{1}"

    with FakeEndpoint(every_second_time) as endpoint:
        config = EvaluationConfig(
            endpoint=EndpointConfig(url=endpoint.url, model="fake"), benchmarks=("aime24",), out=str(tmp_path / "out"),
            data={"aime24": str(tmp_path / "data")},
            generation=GenerationConfig(max_tokens=64, num_runs=4, pass_at=(2,)),
        )  # fmt: skip
        (outcome,) = evaluate(config)
    assert len(endpoint.asked) == 8
    assert endpoint.bodies[0]["temperature"] == 0.6
    assert endpoint.bodies[0]["top_p"] == 0.95
    assert outcome.summary is not None
    # The gold of the first is 204: two of four right; of the second 33: none.
    assert outcome.summary.accuracy == pytest.approx(1 / 4)
    assert outcome.summary.pass_at == {2: pytest.approx((1 - 1 / 6) / 2)}
