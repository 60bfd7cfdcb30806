"""May this pod have what it mounts? Pure: everything that the answer rests on is passed in.

`decide` is the one entrance. The server gathers the facts from its cache and from live reads;
`weightlock policy test` gathers them from files.
"""
