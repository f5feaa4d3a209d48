"""Numbers, units, times and ratios, read exactly."""
