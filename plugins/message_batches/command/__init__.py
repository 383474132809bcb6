"""The command ``nightpress``."""
