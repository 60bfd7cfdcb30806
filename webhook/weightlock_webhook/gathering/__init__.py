"""From a pod and what is known of the cluster to the facts that the decision rests on."""
