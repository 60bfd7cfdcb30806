"""A simulated day of a cluster, in the product's metrics.

Draws the pictures in the documentation and feeds the tests of dashboards and alerts. Nothing in it
is measured; it only has the shape of something plausible.
"""
