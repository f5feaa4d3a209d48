import base64
import pickle
from dataclasses import replace
from io import BytesIO

import pytest
import torch
from PIL import Image

from algorithms import ConfigError, DataError, Prompt
from rollouts import EngineError, SamplingConfig, VLLMEngine, VLLMServerEngine, VLLMSettings
from rollouts.vllm import wire
from rollouts.vllm.policy_files import PolicyFiles, policy_files
from rollouts.vllm.requests import SampledGroup, SampleRequest, completions_of, requests_of


def body(chunks: list[bytes]) -> bytes:
    return b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in [*chunks, b""])


def test_a_policy_and_its_settings_arrive_as_they_were_sent() -> None:
    files = {"config.json": b"{}", "tokenizer.model": bytes([10, *range(256)])}
    policy = PolicyFiles(files, [1, 5], "float32", 512)
    settings = VLLMSettings(max_model_len=77, engine_args={"swap_space": 1.0})
    assert wire.unpack_policy(wire.pack_policy(policy, settings)) == (policy, settings)


def test_a_policy_file_outside_its_folder_is_refused() -> None:
    packed = wire.pack_policy(PolicyFiles({"../config.json": b"{}"}, [], "float32", 512), VLLMSettings())
    with pytest.raises(DataError, match=r"plain names in one folder, got '\.\./config\.json'"):
        wire.unpack_policy(packed)


def test_requests_arrive_with_the_same_pixels() -> None:
    picture = Image.frombytes("RGB", (5, 3), bytes(range(45)))
    request = SampleRequest([5, 4], [picture], SamplingConfig(group_size=4, temperature=0.7), [3, 1], 2**61)
    (arrived,) = wire.unpack_requests(wire.pack_requests([request]))
    assert arrived._replace(images=[]) == request._replace(images=[])
    assert arrived.images[0].tobytes() == picture.tobytes()


def test_groups_arrive_with_every_digit() -> None:
    group = SampledGroup([1, 2], [[5, 3], [4]], [[-0.1 - 1e-12, -1e-30], [-7.0]])
    assert wire.unpack_groups(wire.pack_groups([group])) == [group]


def test_weights_arrive_tensor_by_tensor_in_their_precision() -> None:
    sent = {"a": torch.randn(3, 4).to(torch.bfloat16), "b.c": torch.tensor(2.0)}
    arrived = dict(wire.read_weights(BytesIO(body(list(wire.weight_chunks(sent.items())))), 10_000))
    assert list(arrived) == ["a", "b.c"]
    assert all(torch.equal(arrived[name], sent[name]) and arrived[name].dtype == sent[name].dtype for name in sent)


@pytest.mark.parametrize("missing", [-1, 1, 3, 40, 90])
def test_weights_that_break_off_anywhere_are_an_error(missing: int) -> None:
    whole = body(list(wire.weight_chunks({"a": torch.ones(2)}.items())))
    with pytest.raises(DataError, match="broke off"):
        list(wire.read_weights(BytesIO(whole[: -missing - 2]), 10_000))


@pytest.mark.parametrize("size", [b"-1", b"+2", b"0x10", b"1_0", b" 8", b"8;x=y", b"", b"zz", b"f" * 60, b"1" * 13])
def test_a_chunk_without_a_plain_size_is_an_error(size: bytes) -> None:
    with pytest.raises(DataError, match="for the size of a chunk"):
        list(wire.read_weights(BytesIO(size + b"\r\n" + bytes(500)), 10**18))


def test_weights_larger_than_allowed_are_refused_before_they_are_read() -> None:
    chunks = list(wire.weight_chunks([("a", torch.ones(2)), ("b", torch.ones(2))]))
    stream = BytesIO(body(chunks))
    with pytest.raises(DataError, match="larger than this server takes"):
        list(wire.read_weights(stream, len(chunks[0]) + len(chunks[1]) - 1))
    with pytest.raises(DataError, match="larger than this server takes"):
        list(wire.read_weights(BytesIO(b"ffffffffff\r\n"), 10**9))


@pytest.mark.parametrize("chunk", [b"cos\nsystem\n", bytes(8), b"\xff" * 40, pickle.dumps({"a": [1.0]})])
def test_a_chunk_that_is_no_safetensors_file_is_an_error(chunk: bytes) -> None:
    with pytest.raises(DataError, match="no safetensors file"):
        list(wire.read_weights(BytesIO(body([chunk])), 10_000))


def changed(request: SampleRequest, **fields: object) -> bytes:
    import json

    (packed,) = json.loads(wire.pack_requests([request]))
    return json.dumps([packed | fields]).encode()


SAMPLING = {"group_size": 2, "temperature": 1.0, "max_new_tokens": 4}


@pytest.mark.parametrize(
    "fields",
    [{"prompt_ids": ["a"]}, {"prompt_ids": "a"}, {"seed": "1"}, {"seed": 2**64}, {"seed": True},
     {"stop_token_ids": None}, {"images": "x"},
     {"images": ["#"]}, {"images": [base64.b64encode(b"GIF89a").decode()]}, {"surprise": 1}, {"sampling": None},
     {"sampling": SAMPLING | {"temperature": float("nan")}}, {"sampling": SAMPLING | {"temperature": "hot"}},
     {"sampling": SAMPLING | {"group_size": 2.5}}, {"sampling": SAMPLING | {"extra_args": {}}},
     {"sampling": SAMPLING | {"max_new_tokens": 0}}],
    ids=str,
)  # fmt: skip
def test_requests_of_another_shape_are_an_error(fields: dict[str, object]) -> None:
    request = SampleRequest([7], [], SamplingConfig(), [3], 5)
    assert wire.unpack_requests(changed(request)) == [request]
    with pytest.raises((ValueError, OSError)):
        wire.unpack_requests(changed(request, **fields))


def test_an_answer_of_another_program_is_told_by_its_beginning() -> None:
    assert "b'<html>" in wire.unpack_error(b"<html>nginx</html>")
    assert "b'[1]'" in wire.unpack_error(b"[1]")


def test_greedy_completions_are_sampled_once_and_repeated(policy, prompts: list[Prompt]) -> None:
    greedy = SamplingConfig(group_size=3, temperature=0.0, max_new_tokens=4)
    (request,) = requests_of(policy, prompts[:1], greedy, seed=0)
    assert request.sampling == replace(greedy, group_size=1)
    assert request.stop_token_ids == [policy.end_token_id]
    # One token for the image, which vLLM expands itself.
    assert request.prompt_ids.count(policy.model.config.image_token_id) == 1
    read = policy.encoder.encode(prompts[0]).token_ids.tolist()
    group = SampledGroup(read, [[20, policy.end_token_id]], [[-0.5, -0.1]])
    ((first, *others),) = completions_of(policy, prompts[:1], [group], group_size=3)
    assert len(others) == 2
    assert (first.finish_reason, first.token_ids.tolist()) == ("stop", [20, policy.end_token_id])
    assert first.text == policy.encoder.tokenizer.decode([20])


def test_prompts_read_differently_than_by_the_learner_are_an_error(policy, prompts: list[Prompt]) -> None:
    read = policy.encoder.encode(prompts[0]).token_ids.tolist()
    with pytest.raises(EngineError, match="processors differ"):
        completions_of(policy, prompts[:1], [SampledGroup(read + read[-1:], [], [])], group_size=1)


def test_a_temperature_that_vllm_refuses_is_an_error_with_its_key(policy, prompts: list[Prompt]) -> None:
    with pytest.raises(ConfigError, match=r"^model\.sampling\.temperature must be at most 2 with vLLM, got 2\.5\.$"):
        requests_of(policy, prompts, SamplingConfig(temperature=2.5), seed=0)


def test_an_error_arrives_with_its_class_and_its_sentence() -> None:
    assert wire.unpack_error(wire.pack_error(ConfigError("a sentence."))) == "ConfigError: a sentence."


def test_what_an_engine_builds_from_has_no_weights_and_names_its_class(policy) -> None:
    import json

    files = policy_files(policy)
    assert json.loads(files.files["config.json"])["architectures"] == ["LlavaForConditionalGeneration"]
    assert not [name for name in files.files if name.endswith((".safetensors", ".bin"))]
    assert (files.dtype, files.max_positions) == ("float32", 512)
    assert policy.model.config.image_token_id in files.banned_token_ids


def test_settings_that_cannot_work_are_refused_with_their_key() -> None:
    with pytest.raises(ConfigError, match=r"model\.engine\.settings\.max_rows must be at least 1, got 0\."):
        VLLMSettings(max_rows=0)
    with pytest.raises(ConfigError, match=r"gpu_memory_utilization must lie in \(0, 1\], got 1.5"):
        VLLMSettings(gpu_memory_utilization=1.5)
    with pytest.raises(ConfigError, match=r"tensor_parallel_size must be 1 for rollouts\.VLLMEngine"):
        VLLMEngine(VLLMSettings(tensor_parallel_size=2))
    with pytest.raises(ConfigError, match="sleep_level must be 0 where there is no GPU"):
        VLLMEngine(sleep_level=1)
    with pytest.raises(ConfigError, match=r"http://HOST:PORT, got 'localhost:80'"):
        VLLMServerEngine(url="localhost:80")
