"""What the clients of this proxy are told so that they use it: pure texts, for people to copy."""
