"""The paper's benchmarks: vLLM serves a policy, evalscope scores it; tables, and a page for reading samples."""

from evaluation.samples import JudgedSample, read_samples, write_samples

__all__ = ["JudgedSample", "read_samples", "write_samples"]
