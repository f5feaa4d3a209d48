"""Logs of training modules: metrics of rollouts and pairs, TensorBoard, warnings when a run learns nothing."""
