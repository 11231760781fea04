"""Networks: the runtimes that encoders run on, chosen by measurement, and what they read."""
