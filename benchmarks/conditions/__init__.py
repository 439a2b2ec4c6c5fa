"""What `benchmarks/robustness.py` does to recordings: signals, distortions, conditions, and the choice of clips."""
