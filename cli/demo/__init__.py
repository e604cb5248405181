"""The demo: a platform of four customers, acted out in front of the real monitor."""
