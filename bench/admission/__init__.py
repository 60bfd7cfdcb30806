"""How fast the webhook answers, beside a responder that does nothing on the same stack.

`python -m bench.admission` starts an API server in memory as one process, the webhook as another,
and sends reviews over real TLS from a third. Where there are two processors, the webhook has one
to itself and everything else shares the other.
"""
