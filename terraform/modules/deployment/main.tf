# Reads deployment.json and works out which machines there are. No provider, no resources.
#
# `rookery deployment check` checks the same file more thoroughly; what would make Terraform build something wrong is
# refused here too.

locals {
  deployment = jsondecode(var.text)
  regions    = { for region in local.deployment.regions : region.name => region }
  names      = [for region in local.deployment.regions : region.name]
  durability = try(local.deployment.durability, "regional")
  bus        = try(local.deployment.bus, "local")
  servers    = try(local.deployment.geodns.name_servers, [])
  nodes = flatten([for region in local.deployment.regions : [
    for index, node in region.nodes : { region = region.name, index = index, node = node }
  ]])
  pops = flatten([for region in local.deployment.regions : [
    for index, pop in try(region.pops, []) : { region = region.name, index = index, pop = pop }
  ]])
  voice_nodes = flatten([for region in local.deployment.regions : [
    for index, node in try(region.voice_nodes, []) : { region = region.name, index = index, node = node }
  ]])
  numbers       = [for each in local.nodes : each.node.number]
  voice_numbers = [for each in local.voice_nodes : each.node.number]

  # Where machines of each role stand in their region's network.
  first_host = { region = 10, voice = 45, pop = 60, geodns = 80, bus = 30, database = 100, observability = 90 }

  unplaced = concat(
    [for each in local.nodes : {
      name = "${each.region}-node-${each.node.name}", role = "region", region = each.region, index = each.index,
      type = "node_type", addresses = try(each.node.addresses, []), number = each.node.number, node = each.node.name
    }],
    [for each in local.pops : {
      name = "${each.region}-pop-${each.pop.name}", role = "pop", region = each.region, index = each.index,
      type = "pop_type", addresses = each.pop.addresses, number = null, node = each.pop.name
    }],
    [for each in local.voice_nodes : {
      name = "${each.region}-voice-${each.node.name}", role = "voice", region = each.region, index = each.index,
      type = "voice_type", addresses = each.node.addresses, number = each.node.number, node = each.node.name
    }],
    flatten([for region in local.deployment.regions : [
      for index, address in try(region.machines.database_addresses, []) : {
        name = "${region.name}-db-${index + 1}", role = "database", region = region.name, index = index,
        type = "database_type", addresses = [address], number = null, node = tostring(index + 1)
      }
    ]]),
    flatten([for region in local.deployment.regions : [
      for index, address in try(region.machines.bus_addresses, []) : {
        name = "${region.name}-bus-${index + 1}", role = "bus", region = region.name, index = index,
        type = "bus_type", addresses = [address], number = null, node = tostring(index + 1)
      }
    ]]),
    [for region in local.deployment.regions : {
      name = "${region.name}-obs", role = "observability", region = region.name, index = 0,
      type = "observability_type", addresses = [], number = null, node = "obs"
    } if try(region.machines.observability_type, null) != null],
    [for index, server in local.servers : {
      name  = "${try(server.region, "nowhere")}-dns-${server.name}", role = "geodns", region = try(server.region, "nowhere"),
      index = index, type = "pop_type", addresses = server.addresses, number = null, node = server.name
    }],
  )

  machines = { for each in local.unplaced : each.name => merge(each, {
    location     = local.regions[each.region].machines.location
    network_zone = local.regions[each.region].machines.network_zone
    server_type  = try(local.regions[each.region].machines[each.type], null)
    private_ip   = try(cidrhost(local.regions[each.region].machines.network, local.first_host[each.role] + each.index), null)
    ipv4         = try([for address in each.addresses : address if !strcontains(address, ":")][0], null)
    ipv6         = try([for address in each.addresses : address if strcontains(address, ":")][0], null)
  }) if can(local.regions[each.region].machines) }

  private_ips = [for machine in values(local.machines) : machine.private_ip if machine.private_ip != null]

  mistakes = concat(
    length(distinct(local.names)) == length(local.names) ? [] : ["two regions have the same name"],
    length(distinct(local.numbers)) == length(local.numbers) ? [] : ["two nodes have the same number"],
    alltrue([for number in local.numbers : number >= 1 && number <= 127 && floor(number) == number]) ? [] : ["a node's number is not from 1 to 127"],
    length(distinct(local.voice_numbers)) == length(local.voice_numbers) ? [] : ["two voice nodes have the same number"],
    alltrue([for number in local.voice_numbers : number >= 1 && number <= 4095 && floor(number) == number]) ? [] : ["a voice node's number is not from 1 to 4095"],
    local.bus == "nats" || length(local.voice_nodes) == 0 ? [] : ["voice nodes need the bus \"nats\""],
    [for region in local.deployment.regions : "${region.name} has voice nodes, and its machines no voice_type" if length(try(region.voice_nodes, [])) > 0 && can(region.machines) && try(region.machines.voice_type, null) == null],
    [for each in local.voice_nodes : "the voice node ${each.node.name} has no IPv4 address" if alltrue([for address in each.node.addresses : strcontains(address, ":")])],
    contains(["regional", "global"], local.durability) ? [] : ["durability is neither \"regional\" nor \"global\""],
    local.durability != "global" || length(local.names) >= 3 ? [] : ["\"global\" durability needs three regions"],
    contains(local.names, try(local.deployment.default_home, local.names[0])) ? [] : ["default_home names no region"],
    length(distinct(local.private_ips)) == length(local.private_ips) ? [] : ["a region has more machines of a role than there is room for: two would have the same private address"],
    [for server in local.servers : "the name server ${server.name} is in no known region" if !contains(local.names, try(server.region, ""))],
    [for region in local.deployment.regions : "${region.name} has no machines" if !can(region.machines.network)],
    [for region in local.deployment.regions : "${region.name}: the network ${try(region.machines.network, "")} is no CIDR block of /16 to /24" if can(region.machines.network) && !can(regex("^(1[6-9]|2[0-4])$", split("/", cidrsubnet(region.machines.network, 0, 0))[1]))],
    flatten([for region in local.deployment.regions : [
      for network in try(region.placement.networks, []) : "${region.name}: ${network} is no CIDR block" if !can(cidrsubnet(network, 0, 0))
    ]]),
    [for region in local.deployment.regions : "${region.name}: nats_urls are not those of its bus machines, ${join(" ", local.nats_urls[region.name])}"
      if local.bus == "nats" && can(cidrhost(region.machines.network, 0)) && sort(try(region.nats_urls, [])) != sort(local.nats_urls[region.name])
    ],
  )

  nats_urls = { for region in local.deployment.regions : region.name => [
    for index, address in try(region.machines.bus_addresses, []) :
    try("nats://${cidrhost(region.machines.network, local.first_host.bus + index)}:4222", "")
  ] }
}
