"""The Weightlock operator: turns policies and checkpoints into verification Jobs and verdicts."""
