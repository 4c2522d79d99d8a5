"""bargein."""
