"""Every test runs as a user would: TensorFlow quietened before anything loads it."""
