#!/bin/bash
# The pods' network of this node: a pair of interfaces for each pod, addresses out of the node's
# podCIDR, a route to every other node's pods, and the node's address for what leaves the cluster.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
pods=${POD_SUBNET:-10.244.0.0/16}
identity=/var/lib/kubelet/pki/kubelet-client-current.pem
columns='.items[] | [.metadata.name, (.spec.podCIDR // "-"),
  ([.status.addresses[]? | select(.type == "InternalIP" and (.address | test(":") | not)) | .address]
   | first // "-")] | @tsv'
this=$(hostname)
configured=

nodes() {
  local server
  server=$(sed -n 's/^ *server: //p' /etc/kubernetes/kubelet.conf)
  curl -sf --max-time 5 --cacert /etc/kubernetes/pki/ca.crt --cert $identity --key $identity \
    "$server/api/v1/nodes" | jq -r "$columns"
}

configure() {
  local range=$1
  mkdir -p /etc/cni/net.d
  cat > /etc/cni/net.d/.pods <<X
{"cniVersion": "0.3.1", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false, "mtu": 1500,
   "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state",
            "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": "$range"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
X
  mv /etc/cni/net.d/.pods /etc/cni/net.d/10-pods.conflist
  local outside=(POSTROUTING -s "$range" ! -d "$pods" -m addrtype ! --dst-type LOCAL -j MASQUERADE)
  iptables -t nat -C "${outside[@]}" 2>/dev/null || iptables -t nat -A "${outside[@]}"
  configured=yes
  echo "pods of this node are in $range"
}

while :; do
  if [ -s $identity ]; then
    while read -r name range address; do
      [ -n "$name" ] && [ "$range" != - ] || continue
      if [ "$name" != "$this" ]; then
        [ "$address" = - ] || ip route replace "$range" via "$address"
      elif [ -z "$configured" ]; then
        configure "$range"
      fi
    done <<<"$(nodes)"
  fi
  if [ -n "$configured" ]; then sleep 3; else sleep 1; fi
done
