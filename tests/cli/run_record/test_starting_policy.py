"""A run says which policy it started from, by a digest of the weights, also through a chain of trainings."""

from dataclasses import replace
from pathlib import Path

import pytest

from cli.run_record import starting_policy as module
from cli.run_record.starting_policy import policy_in, starting_policy, weights_digest
from run_records import Attempt, RunRecord


def config(path: str) -> str:
    return f"model: {{class_path: A, init_args: {{policy: {{class_path: B, init_args: {{path: {path}}}}}}}}}\n"


JOINED = "model: {class_path: A, init_args: {policy: {class_path: B, init_args: {vision_tower: runs/built/tower}}}}\n"


def model(folder: Path, weights: bytes) -> str:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    return str(folder)


def trained(folder: Path, into: str, started_from: str, start: dict[str, str | None] | None = None) -> RunRecord:
    """The record of a run whose export lies in a folder."""
    folder.mkdir(parents=True)
    attempt = Attempt("2026-01-01T00:00:00", ("fit", f"--callbacks.export.folder={into}"), status="finished")
    record = RunRecord(folder, "fit", "mpo", 0, {}, (attempt,), starts_from=start)
    record.write()
    (folder / "config.yaml").write_text(started_from)
    return record


def test_a_digest_is_that_of_the_weights_alone(tmp_path: Path) -> None:
    one = Path(model(tmp_path / "one", b"weights"))
    digest = weights_digest(one)
    (one / "config.json").write_text("{}")
    assert weights_digest(one) == digest == weights_digest(Path(model(tmp_path / "moved", b"weights")))
    (one / "second.safetensors").write_bytes(b"")
    assert weights_digest(one) != digest
    assert weights_digest(tmp_path) is None


@pytest.mark.parametrize("place", [0, 10, 15, 29])
def test_of_a_large_file_beginning_middle_and_end_are_read(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PIECE", 10)
    weights = bytearray(30)
    before = weights_digest(Path(model(tmp_path / "before", bytes(weights))))
    weights[place] = 1
    assert weights_digest(Path(model(tmp_path / "after", bytes(weights)))) != before


def test_what_names_no_folder_of_a_policy_has_no_start_and_a_name_of_the_hub_an_unknown_one(tmp_path: Path) -> None:
    assert starting_policy(JOINED, tmp_path) is None
    assert starting_policy("model: {class_path: A}\n", tmp_path) is None
    unknown = {"path": "Qwen/Qwen2.5-VL-7B-Instruct", "weights": None, "first_weights": None}
    assert starting_policy(config("Qwen/Qwen2.5-VL-7B-Instruct"), tmp_path) == unknown


def test_a_policy_that_no_run_is_known_to_have_trained_is_the_first_itself(tmp_path: Path) -> None:
    start = starting_policy(config(model(tmp_path / "given", b"1")), tmp_path / "builds")
    assert start is not None
    assert start["first_weights"] == start["weights"] == weights_digest(tmp_path / "given")


def test_the_first_policy_of_a_chain_is_the_one_that_was_joined_from_parts(tmp_path: Path) -> None:
    builds = tmp_path / "builds"
    adapter, mpo = model(tmp_path / "adapter-1", b"aligned"), model(tmp_path / "mpo-1", b"trained")
    trained(builds / "adapter-s0", adapter, JOINED)
    first = weights_digest(Path(adapter))
    assert policy_in(adapter, builds)["first_weights"] == first
    trained(builds / "mpo-s0", mpo, config(adapter), dict(policy_in(adapter, builds)))
    assert policy_in(mpo, builds) == {"path": mpo, "weights": weights_digest(Path(mpo)), "first_weights": first}
    # Written down when MPO began: what lies at the aligned policy's place today does not matter.
    (Path(adapter) / "model.safetensors").write_bytes(b"built anew")
    assert policy_in(mpo, builds)["first_weights"] == first


def test_an_export_in_the_folder_of_a_users_run_leads_to_what_that_run_started_from(tmp_path: Path) -> None:
    start = {"path": "elsewhere", "weights": "aa", "first_weights": "bb"}
    trained(tmp_path / "mpo-s0", "unset", config("elsewhere"), start)
    assert policy_in(model(tmp_path / "mpo-s0" / "export", b"1"), tmp_path / "builds")["first_weights"] == "bb"


def test_where_an_older_record_does_not_say_what_it_started_from_the_first_is_not_known(tmp_path: Path) -> None:
    mpo = model(tmp_path / "mpo-1", b"trained")
    older = trained(tmp_path / "builds" / "mpo-s0", mpo, config("runs/built/adapter-1"))
    assert policy_in(mpo, tmp_path / "builds")["first_weights"] is None
    newer = replace(older.attempts[0], started="2026-01-02T00:00:00")
    start = {"path": "runs/built/adapter-1", "weights": "aa", "first_weights": "aa"}
    # Built a second time: the later run is the one whose export lies there.
    (tmp_path / "builds" / "mpo-s0-2").mkdir()
    again = replace(older, folder=tmp_path / "builds" / "mpo-s0-2", attempts=(newer,), starts_from=start)
    again.write()
    (again.folder / "config.yaml").write_text(config("runs/built/adapter-1"))
    assert policy_in(mpo, tmp_path / "builds")["first_weights"] == "aa"
