"""Whether the API server asks us at all (A05).

A webhook that nobody calls protects nothing, and nothing else would notice: pods simply start. So
the process compares both webhook configurations in the cluster with the ones that it was shipped
with, shows the answer as a metric, and its leader puts them back, until an uninstall says not to.
"""
