"""Campaigns that take longer than a test: speed, memory, published numbers."""
