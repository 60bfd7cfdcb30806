#!/bin/bash
# Builds the Kubernetes servers from Debian's source package. Runs inside the build root, which is thrown away.
#   build_kubernetes.sh OUTPUT_FOLDER
set -euo pipefail
output=$1
export HOME=/root CGO_ENABLED=0

cd /usr/src
apt-get update --quiet
apt-get source --quiet --only-source kubernetes
rm -f kubernetes_*
cd kubernetes-*

# reflect2 1.0.1, as vendored, crashes the API server on the first custom resource when Go is 1.18 or newer.
rm vendor/github.com/modern-go/reflect2/*.go
cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.go vendor/github.com/modern-go/reflect2/
rm -f vendor/github.com/modern-go/reflect2/*_test.go

# The makefiles insist on finding themselves inside a GOPATH.
mkdir -p .go/src/k8s.io
ln -s "$PWD" .go/src/k8s.io/kubernetes
export GOPATH="$PWD/.go"
cd .go/src/k8s.io/kubernetes
make WHAT="cmd/kube-apiserver cmd/kube-controller-manager cmd/kube-scheduler cmd/kubelet cmd/kube-proxy cmd/kubectl"

mkdir -p "$output"
install -m 0755 _output/local/bin/linux/*/kube* "$output"
cd / && GO111MODULE=off go build -ldflags="-s -w" -o "$output/pause" /pause.go
