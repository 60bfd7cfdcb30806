"""What the webhook knows of the cluster, kept current by watches and honest about its age.

`Knowledge` holds it, `Reflector`s feed it, `Client` carries both them and the live reads. Nothing
here judges; `weightlock_webhook.gathering` turns what is known into facts.
"""
