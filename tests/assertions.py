"""The one place in the test suite that knows a tolerance."""

import torch
from torch import Tensor


def assert_same(actual: Tensor, expected: Tensor) -> None:
    """Fail unless two tensors agree up to the rounding of 32-bit floats; infinities and NaN must match too."""
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6, equal_nan=True)
