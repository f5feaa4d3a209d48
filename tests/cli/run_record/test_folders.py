"""Every run has a folder that no other run writes to."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from algorithms import ConfigError
from cli.run_record.folders import RunFolder, is_first_process, run_folder
from cli.run_record.names import RunName
from tests.cli.run_record.hand_made import written

NAME = RunName("grpo", 0, {})


def folder(
    parent: Path,
    name: RunName = NAME,
    *,
    command: str = "fit",
    ckpt_path: str | None = None,
    saved: tuple[Path, ...] = (),
    claims: bool = True,
) -> RunFolder:
    return run_folder(parent, name, command=command, ckpt_path=ckpt_path, saved=saved, claims=claims)


def test_a_second_start_gets_a_number(tmp_path: Path) -> None:
    found = [folder(tmp_path) for _ in range(3)]
    assert [each.path.name for each in found] == ["grpo-s0", "grpo-s0-2", "grpo-s0-3"]
    assert all(each.is_new and each.path.is_dir() for each in found)


def test_runs_that_start_in_the_same_moment_get_a_folder_each(tmp_path: Path) -> None:
    together = Barrier(16)

    def start(_: int) -> Path:
        together.wait()
        return folder(tmp_path / "tiny").path

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(start, range(16)))
    assert len(set(found)) == 16


def test_last_is_the_newest_run_of_the_name_that_has_a_checkpoint(tmp_path: Path) -> None:
    written(tmp_path / "grpo-s0", checkpoint=True)
    written(tmp_path / "grpo-s0-2", checkpoint=True)
    written(tmp_path / "grpo-s0-10", status="failed", reason="OSError")
    written(tmp_path / "grpo-s0-no_ssb", "grpo-s0-no_ssb", None, checkpoint=True)
    assert folder(tmp_path, ckpt_path="last") == RunFolder(
        tmp_path / "grpo-s0-2", NAME, is_new=False, source=tmp_path / "grpo-s0-2"
    )


def test_last_is_never_a_run_with_other_flags_or_another_seed(tmp_path: Path) -> None:
    written(tmp_path / "grpo-s0", flags={"model.policy.path": '"a/base"'}, checkpoint=True)
    written(tmp_path / "grpo-s0-2", seed=1, checkpoint=True)
    found = folder(tmp_path, RunName("grpo", 0, {"model.policy.path": '"b/base"'}), ckpt_path="last")
    assert (found.path.name, found.is_new, found.source) == ("grpo-s0-3", True, None)


def test_last_with_a_folder_of_checkpoints_that_the_user_chose_is_the_newest_run(tmp_path: Path) -> None:
    for name in ("grpo-s0", "grpo-s0-2"):
        written(tmp_path / name)
    saved = tmp_path / "saved"
    saved.mkdir()
    assert folder(tmp_path, ckpt_path="last", saved=(saved,)).path.name == "grpo-s0-3"
    (saved / "last.ckpt").touch()
    assert folder(tmp_path, ckpt_path="last", saved=(saved,)).path.name == "grpo-s0-2"


def test_a_checkpoint_by_its_path_leads_to_its_run_where_that_has_this_name(tmp_path: Path) -> None:
    written(tmp_path / "grpo-s0", checkpoint=True)
    path = str(tmp_path / "grpo-s0" / "checkpoints" / "step=10.ckpt")
    assert folder(tmp_path, ckpt_path=path).path.name == "grpo-s0"
    branch = folder(tmp_path, RunName("grpo-no_ssb", 0, {}), ckpt_path=path)
    assert (branch.path.name, branch.is_new) == ("grpo-no_ssb-s0", True)


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_command_that_does_not_train_gets_a_folder_beside_the_run_it_looks_at(tmp_path: Path, command: str) -> None:
    written(tmp_path / "grpo-s0", checkpoint=True)
    path = str(tmp_path / "grpo-s0" / "checkpoints" / "step=10.ckpt")
    look = RunName("config", 5, {"data.source.level": '"hard"'})
    found = [
        folder(tmp_path, command=command),
        folder(tmp_path, command=command, ckpt_path="last"),
        folder(tmp_path / "elsewhere", look, command=command, ckpt_path=path),
    ]
    assert [each.path.name for each in found] == [f"grpo-s0-{command}{number}" for number in ("", "-2", "-3")]
    assert all(each.path.parent == tmp_path and each.is_new for each in found)
    assert (found[2].name.title, found[2].name.seed) == ("grpo", 0)


def test_last_of_a_command_that_does_not_train_is_refused_where_there_is_no_checkpoint(tmp_path: Path) -> None:
    written(tmp_path / "grpo-s1", seed=1, checkpoint=True)
    with pytest.raises(ConfigError, match=r"no run named grpo-s0 in .* has a checkpoint \(runs there: grpo-s1\)"):
        folder(tmp_path, command="validate", ckpt_path="last")
    assert [path.name for path in tmp_path.iterdir()] == ["grpo-s1"]


def test_a_folder_without_a_record_or_with_a_broken_one_is_taken_and_never_resumed(tmp_path: Path) -> None:
    (tmp_path / "grpo-s0" / "checkpoints").mkdir(parents=True)
    (tmp_path / "grpo-s0" / "checkpoints" / "last.ckpt").touch()
    written(tmp_path / "grpo-s0-2", checkpoint=True)
    (tmp_path / "grpo-s0-2" / "run.json").write_text("{")
    assert folder(tmp_path, ckpt_path="last").path.name == "grpo-s0-3"


def test_ranks_after_the_first_make_no_folder_and_find_the_same_run(tmp_path: Path) -> None:
    other = folder(tmp_path, claims=False)
    assert (other.is_new, list(tmp_path.iterdir())) == (False, [])
    # Of another run by the same name, which no rank may take for its own.
    written(tmp_path / "grpo-s0-2", flags={"model.max_attempts": "2"}, checkpoint=True)
    assert not folder(tmp_path, ckpt_path="last", claims=False).path.exists()
    written(tmp_path / "grpo-s0", checkpoint=True)
    first, other = (folder(tmp_path, ckpt_path="last", claims=claims) for claims in (True, False))
    assert first == other


@pytest.mark.parametrize(
    ("environment", "is_first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0"}, True),
        ({"RANK": "1", "LOCAL_RANK": "1"}, False),
        ({"RANK": "8", "LOCAL_RANK": "0"}, False),  # torchrun, first process of the second machine
        ({"SLURM_PROCID": "3", "SLURM_LOCALID": "3"}, False),
        ({"SLURM_PROCID": "0"}, True),
        ({"NODE_RANK": "1"}, False),  # Lightning's launcher on the second machine
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False),  # a process that Lightning started
        ({"OMPI_COMM_WORLD_RANK": "2"}, False),
    ],
)
def test_the_first_process_is_told_by_what_started_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_first: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() is is_first


def test_a_job_that_slurm_starts_again_goes_on_in_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "grpo-s0", slurm_job="17")
    written(tmp_path / "grpo-s0-2", slurm_job="18")
    for name in ("grpo-s0", "grpo-s0-2"):
        (tmp_path / name / "hpc_ckpt_1.ckpt").touch()
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert folder(tmp_path).path.name == "grpo-s0-3"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert folder(tmp_path).path.name == "grpo-s0"
