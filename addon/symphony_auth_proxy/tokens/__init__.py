"""Tokens: who gets them, keeps them, and hands them out. Begins with `provider`."""
