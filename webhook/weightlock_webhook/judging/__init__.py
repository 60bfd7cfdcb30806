"""Answers about pods: from what is known, confirmed by live reads wherever the answer is yes."""
