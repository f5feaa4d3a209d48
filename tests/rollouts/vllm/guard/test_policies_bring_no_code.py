"""What a policy from the network may bring; everything else is refused."""

import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from algorithms import ConfigError, DataError
from models import Policy
from rollouts import VLLMServerEngine, VLLMSettings
from rollouts.vllm import wire
from rollouts.vllm.guard.policy_rules import check_engine_args, check_files
from rollouts.vllm.policy_files import PolicyFiles, policy_files

CONFIG = {"config.json": b'{"model_type": "llava"}'}


def arrives(**changes: object) -> None:
    """Send a good policy with some fields changed."""
    packed = json.loads(wire.pack_policy(PolicyFiles(CONFIG, [1], "float32", 512), VLLMSettings()))
    wire.unpack_policy(json.dumps(packed | changes).encode())


@pytest.mark.parametrize("family", ["policy", "qwen_vl_policy"])
def test_everything_that_a_policy_of_transformers_consists_of_is_let_in(family: str, request) -> None:
    policy: Policy = request.getfixturevalue(family)
    files = policy_files(policy)
    assert wire.unpack_policy(wire.pack_policy(files, VLLMSettings()))[0] == files


@pytest.mark.parametrize(
    "name",
    ["modeling_llava.py", "processing.PY", "config.json.py", "pytorch_model.bin", "training_args.bin", "state.pt",
     "model.ckpt", "data.pkl", "weights.npz", "kernel.so", "run.sh", "sitecustomize.pyc", "adapter_config.json",
     "README.md", "tokenizer.pickle", "Makefile", "usercustomize.pth", "vocab.msgpack", "config.yaml"],
)  # fmt: skip
def test_files_that_are_no_configs_and_no_tokenizer_files_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="no code and no pickles"):
        check_files(CONFIG | {name: b"{}"})


@pytest.mark.parametrize(
    "name",
    ["../config.json", "/etc/config.json", "a/../../config.json", "sub/config.json", "..\\config.json",
     "C:config.json", "config.json\n", "config.json\0.py", "", ".", "..", ".config.json", "~config.json",
     "a..config.json", "x" * 300 + "config.json", "\uff43onfig.json", "config.json/"],
)  # fmt: skip
def test_names_that_could_lead_out_of_the_folder_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"plain names|no code and no pickles"):
        check_files(CONFIG | {name: b"{}"})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", pickle.dumps({})),
        ("config.json", b"import os"),
        ("config.json", b"[" * 100_000),
        ("config.json", '{"a": 1}'.encode("utf-16")),
        ("tokenizer.json", b"\x80\x04."),
        ("tokenizer.model", pickle.dumps({})),
        ("tokenizer.model", b"PK\x03\x04"),
        ("spiece.model", b""),
        ("merges.txt", b"\xff\xfe"),
        ("model.safetensors", pickle.dumps({})),
        ("model.safetensors", b""),
    ],
)
def test_files_that_are_not_what_their_name_says_are_refused(name: str, content: bytes) -> None:
    with pytest.raises(DataError, match="not what its name says"):
        check_files(CONFIG | {name: content})


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModel": "modeling.Model"}},
        {"auto_map": "someone/repository--processing.Processor"},
        {"text_config": {"auto_map": {"AutoConfig": "x.Y"}}},
        {"parts": [{"vision_config": {"_auto_map": {"AutoConfig": "x.Y"}}}]},
        {"trust_remote_code": True},
        {"custom_pipelines": {"x": {"impl": "x.Y"}}},
        {"vision_config": {"attn_implementation": "someone/kernels"}},
        {"_attn_implementation": {"text_config": "someone/kernels@main:attention"}},
        {"experts_implementation": "someone/kernels"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "video_preprocessor_config.json"])
def test_configs_that_name_code_are_refused_at_any_depth(config: dict[str, object], name: str) -> None:
    with pytest.raises(DataError, match="names code by"):
        check_files(CONFIG | {name: json.dumps(config).encode()})


def test_what_only_looks_like_naming_code_is_let_in() -> None:
    config = {"attn_implementation": "sdpa", "trust_remote_code": False, "auto_map": None, "note": "auto_map"}
    vocabulary = {"auto_map": 0, "trust_remote_code": 1}
    check_files({
        "config.json": json.dumps(config).encode(), "vocab.json": json.dumps(vocabulary).encode(),
        "model.safetensors": save({"a": torch.ones(2)}), "merges.txt": "#version ü".encode(),
    })  # fmt: skip


def test_a_policy_of_transformers_own_classes_goes_without_the_code_that_its_config_once_named(policy: Policy) -> None:
    policy.model.config.auto_map = {"AutoModel": "someone/repository--modeling.Model"}
    policy.model.config.text_config.auto_map = {"AutoConfig": "configuration.Config"}
    files = policy_files(policy)
    check_files(files.files)
    assert json.loads(files.files["config.json"])["model_type"] == "llava"


def test_too_many_files_are_refused() -> None:
    with pytest.raises(DataError, match="at most 64 files"):
        check_files({f"x{i}config.json": b"{}" for i in range(65)})


@pytest.mark.parametrize(
    "args",
    [{"trust_remote_code": True}, {"trust_remote_code": False}, {"hf_overrides": {}}, {"tokenizer": "someone/x"},
     {"model": "someone/x"}, {"worker_extension_cls": "os.system"}, {"worker_cls": "x.Y"}, {"download_dir": "/"},
     {"logits_processors": ["x:Y"]}, {"load_format": "pt"}, {"distributed_executor_backend": "x.Executor"},
     {"allowed_local_media_path": "/"}, {"kv_transfer_config": {}}, {"speculative_config": {"model": "x"}},
     {"compilation_config": {"backend": "x.y"}}, {"enable_lora": True}, {"mm_processor_kwargs": {}},
     {"enable_prefix_caching": "yes"}, {"swap_space": [4]}, {"swap_space": True}, {"pipeline_parallel_size": 1.5}],
    ids=str,
)  # fmt: skip
def test_arguments_of_vllm_that_are_not_listed_are_refused_by_server_and_run(args: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"model\.engine\.settings\.engine_args.*A vLLM server takes these only"):
        VLLMServerEngine(VLLMSettings(engine_args=args))
    with pytest.raises(ConfigError, match="A vLLM server takes these only"):
        wire.unpack_policy(
            wire.pack_policy(PolicyFiles(CONFIG, [], "float32", 512), replace(VLLMSettings(), engine_args=args))
        )


def test_arguments_of_speed_and_memory_are_let_in() -> None:
    check_engine_args({"swap_space": 4, "kv_cache_dtype": "fp8", "enable_prefix_caching": False, "cpu_offload_gb": 0.5})


@pytest.mark.parametrize(
    "changes",
    [{"dtype": 3}, {"banned_token_ids": "12"}, {"banned_token_ids": [1.5]}, {"max_positions": "512"}, {"code": "x"},
     {"max_positions": True}, {"files": []}, {"files": None}, {"files": {"config.json": 3}}, {"settings": []},
     {"files": {"config.json": "e30=\n!"}}, {"settings": {"max_rows": 1e9}}, {"settings": {"trust_remote_code": 1}},
     {"settings": {"model_impl": "terratorch"}}, {"settings": {"dtype": "../x"}}, {"settings": {"eager": "no"}},
     {"settings": {"gpu_memory_utilization": 2.0}}, {"settings": {"max_model_len": -1}}],
    ids=str,
)  # fmt: skip
def test_fields_of_another_name_or_type_are_refused(changes: dict[str, object]) -> None:
    arrives()
    with pytest.raises(ValueError, match=r"must|has no|base64|Only base64|padding"):
        arrives(**changes)
