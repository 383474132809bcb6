"""Damaged and hostile input for all readers of foreign data: ``make fuzz`` and, as a sample, the tests."""
