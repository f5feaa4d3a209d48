"""The closed loop: monitor, calibrator, the thresholds it can move, and what is shown of them."""
