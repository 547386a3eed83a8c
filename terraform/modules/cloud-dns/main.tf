# The domain in the cloud's own DNS, for who runs no name servers. It knows neither places nor health: clients get every
# point of presence, in any order, until `rookery deployment` and gdnsd take over.

locals {
  domain = var.deployment.domain
  suffix = ".${local.domain}"
  pops   = flatten([for region in var.deployment.regions : [for pop in try(region.pops, []) : pop]])
  nodes  = flatten([for region in var.deployment.regions : region.nodes])
  voices = flatten([for region in var.deployment.regions : [for node in try(region.voice_nodes, []) : node]])

  # What names of the zone stand in links and URLs, and the addresses of the nodes that have them.
  node_hosts = distinct(flatten([
    [for node in local.nodes : [
      for host in [
        split(":", node.link)[0],
        split(":", split("/", trimprefix(trimprefix(node.gateway, "wss://"), "ws://"))[0])[0],
        split(":", split("/", trimprefix(try(node.webtransport, ""), "https://"))[0])[0],
      ] : { label = trimsuffix(host, local.suffix), addresses = try(node.addresses, []) } if endswith(host, local.suffix)
    ]],
    [for node in local.voices : [
      for host in [split(":", node.endpoint)[0]] :
      { label = trimsuffix(host, local.suffix), addresses = node.addresses } if endswith(host, local.suffix)
    ]],
  ]))
  names = merge(
    { "@" = flatten([for pop in local.pops : pop.addresses]) },
    { for pop in local.pops : "${pop.name}.pop" => pop.addresses },
    { for label in distinct(local.node_hosts[*].label) : label => distinct(flatten([for host in local.node_hosts : host.addresses if host.label == label])) },
  )
  sets = merge([for name, addresses in local.names : {
    for type in ["A", "AAAA"] : "${name} ${type}" => {
      name      = name
      type      = type
      addresses = [for address in addresses : address if strcontains(address, ":") == (type == "AAAA")]
    }
  }]...)
}

resource "hcloud_zone" "this" {
  name = local.domain
  mode = "primary"
  ttl  = 300
}

resource "hcloud_zone_rrset" "this" {
  for_each = { for key, set in local.sets : key => set if length(set.addresses) > 0 }

  zone    = hcloud_zone.this.name
  name    = each.value.name
  type    = each.value.type
  ttl     = each.value.name == "@" ? 60 : 300
  records = [for address in each.value.addresses : { value = address }]
}
