"""From a pod as the API server sends it to what each of its containers can reach. Pure.

Nothing here knows of policies: `weightlock_webhook.decision` judges what these modules list.
"""
