"""Files as evalscope 1.14.1 writes them, as small as its reader needs; the keys were taken from a real run."""

import base64
import json
from pathlib import Path
from typing import Any

PNG = b"\x89PNG synthetic"


def review(
    index: int, completion: str, score: float | None, *, gold: str = "A", group: int | None = None, run: int = 0
) -> dict[str, Any]:
    picture = "data:image/png;base64," + base64.b64encode(PNG).decode()
    asked = [{"type": "text", "text": f"question {index}"}, {"type": "image", "image": picture}]
    perf = {"latency": 0.1, "input_tokens": 9, "output_tokens": 4}
    return {
        "index": index, "target": [gold],
        "messages": [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": completion, "perf_metrics": perf},
        ],
        "sample_score": {
            "score": {
                "value": {} if score is None else {"acc": score},
                "status": "success" if score is not None else "excluded",
                "prediction": completion, "extracted_prediction": completion, "main_score_name": None,
            },
            "sample_id": index, "group_id": index if group is None else group, "generation_index": run,
        },
    }  # fmt: skip


def prediction(index: int, *, stop_reason: str = "stop") -> dict[str, Any]:
    return {"index": index, "model_output": {"choices": [{"stop_reason": stop_reason}]}}


def report(scores: dict[str, float], *, errored: int = 0, name: str = "pope") -> dict[str, Any]:
    identities = [{"name": metric, "aggregation": "mean", "dimensions": {}} for metric in scores]
    metrics = [{"identity": one, "score": scores[one["name"]]} for one in identities]
    return {
        "dataset_name": name, "metrics": metrics, "primary_metric_identity": identities[0],
        "execution_summary": {"requested": 0, "errored": errored},
    }  # fmt: skip


def write(
    folder: Path, reviews: dict[str, list[dict[str, Any]]], reported: dict[str, Any], *, refused: tuple[int, ...] = ()
) -> Path:
    """Write the files of a benchmark, by subset."""
    name = reported["dataset_name"]
    for subset, rows in reviews.items():
        said = [
            prediction(row["index"], stop_reason="model_length" if row["index"] in refused else "stop") for row in rows
        ]
        for kind, lines in (("reviews", rows), ("predictions", said)):
            file = folder / kind / "tiny" / f"{name}_{subset}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    file = folder / "reports" / "tiny" / f"{name}.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(reported))
    return folder
