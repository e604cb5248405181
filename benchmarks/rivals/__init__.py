"""The same job on other engines, beside ours: same events, same decisions, same machine, same run."""
