"""Damaged and hostile input for whatever reads what others wrote: ``make fuzz`` and, sampled, the tests."""
