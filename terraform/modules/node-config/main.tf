# What one machine runs: files, packages and commands, and the cloud-init that brings them there. No provider, no
# resources, no secrets: `terraform apply` in ../../render writes the same for a lab.

locals {
  repository = "${path.module}/../../.."
  machine    = var.machine
  regions    = { for region in var.deployment.regions : region.name => region }
  region     = local.regions[local.machine.region]
  names      = [for region in var.deployment.regions : region.name]
  bus        = try(var.deployment.bus, "local")
  durability = try(var.deployment.durability, "regional")

  by_role = { for role in ["region", "voice", "pop", "database", "bus", "geodns", "observability"] :
    role => [for name in sort(keys(var.machines)) : var.machines[name] if var.machines[name].role == role]
  }
  near = { for role, machines in local.by_role : role => [for each in machines : each if each.region == local.machine.region] }

  node       = try([for node in local.region.nodes : node if node.name == local.machine.node][0], null)
  voice_node = try([for node in local.region.voice_nodes : node if node.name == local.machine.node][0], null)
  # The own region first, the others in the order of the file.
  ordered_regions = concat([local.machine.region], [for name in local.names : name if name != local.machine.region])
  links           = flatten([for name in local.ordered_regions : [for node in local.regions[name].nodes : node.link]])

  # Of the own machine: a client that is told them talks to it anyway.
  voice_host = try(join(":", slice(split(":", local.voice_node.endpoint), 0, length(split(":", local.voice_node.endpoint)) - 1)), "")
  turn_urls = [
    "turn:${local.voice_host}:3478?transport=udp", "turn:${local.voice_host}:3478?transport=tcp", "turns:${local.voice_host}:5349?transport=tcp",
  ]

  context = {
    machine         = local.machine
    node            = local.node
    voice_node      = local.machine.role == "voice" ? local.voice_node : null
    turn_urls       = local.turn_urls
    region          = local.region
    bus             = local.bus
    durability      = local.durability
    domain          = var.deployment.domain
    deployment_name = var.deployment.name
    links           = local.links
    multi_node      = var.multi_node
    admin_networks  = var.admin_networks
    by_role         = local.by_role
    near            = local.near
    names           = local.names
    health_port     = try(var.deployment.geodns.health.port, 8090)
    link_port       = try(tonumber(reverse(split(":", local.node.link))[0]), 8082)
    seeds           = [for name in local.names : [for each in local.by_role.database : each.ipv4 if each.region == name][0] if contains([for each in local.by_role.database : each.region], name)]
  }

  deployment_file = { path = "/etc/rookery/deployment.json", mode = "0644", content = var.deployment_text }
  install_file    = { path = "/usr/local/sbin/rookery-install", mode = "0755", content = file("${path.module}/templates/rookery-install.sh") }
  common_files = [
    { path = "/etc/nftables.conf", mode = "0644", content = templatefile("${path.module}/templates/nftables.conf.tftpl", local.context) },
    { path = "/etc/sysctl.d/60-rookery.conf", mode = "0644", content = file("${path.module}/templates/sysctl.conf") },
  ]
  role_files = {
    region = local.machine.role != "region" ? [] : [
      local.deployment_file,
      local.install_file,
      { path = "/etc/rookery/region.toml", mode = "0644", content = templatefile("${path.module}/templates/region.toml.tftpl", local.context) },
      { path = "/etc/systemd/system/rookery-region.service", mode = "0644", content = file("${local.repository}/infra/systemd/rookery-region.service") },
      { path = "/etc/haproxy/haproxy.cfg", mode = "0644", content = file("${path.module}/templates/haproxy.cfg") },
      { path = "/etc/systemd/system/rookery-region.service.d/bus.conf", mode = "0644", content = local.bus != "nats" || !var.multi_node ? "# There is no bus to be let into.\n" : "[Service]\nLoadCredential=bus.key:/etc/rookery/credentials/bus.key\n" },
    ]
    voice = local.machine.role != "voice" ? [] : [
      local.install_file,
      { path = "/etc/rookery/sfu.toml", mode = "0644", content = templatefile("${path.module}/templates/sfu.toml.tftpl", local.context) },
      { path = "/etc/systemd/system/rookery-sfu.service", mode = "0644", content = file("${local.repository}/infra/systemd/rookery-sfu.service") },
      { path = "/etc/rookery/turnserver.conf", mode = "0644", content = templatefile("${path.module}/templates/turnserver.conf.tftpl", local.context) },
      { path = "/etc/systemd/system/coturn.service.d/rookery.conf", mode = "0644", content = file("${local.repository}/infra/systemd/coturn.conf") },
    ]
    pop = local.machine.role != "pop" ? [] : [
      local.deployment_file,
      local.install_file,
      { path = "/etc/rookery/pop.toml", mode = "0644", content = templatefile("${path.module}/templates/pop.toml.tftpl", local.context) },
      { path = "/etc/systemd/system/rookery-pop.service", mode = "0644", content = file("${local.repository}/infra/systemd/rookery-pop.service") },
    ]
    geodns = local.machine.role != "geodns" ? [] : [
      local.deployment_file,
      local.install_file,
      { path = "/etc/gdnsd/options.d/listen", mode = "0644", content = templatefile("${local.repository}/infra/geodns/listen.tftpl", { addresses = compact([local.machine.ipv4, local.machine.ipv6]) }) },
    ]
    bus = local.machine.role != "bus" ? [] : [
      { path = "/etc/nats-server.conf", mode = "0644", content = templatefile("${path.module}/templates/nats-server.conf.tftpl", local.context) },
    ]
    database = local.machine.role != "database" ? [] : [
      { path = "/etc/scylla/scylla.yaml", mode = "0644", content = local.scylla },
      { path = "/etc/scylla/cassandra-rackdc.properties", mode = "0644", content = "${replace(replace(file("${local.repository}/infra/scylla/cassandra-rackdc.properties"), "dc=REGION", "dc=${local.region.data_center}"), "rack=RACK", "rack=rack${local.machine.node}")}prefer_local=true\n" },
      { path = "/etc/systemd/system/rookery-scylla-repair.service", mode = "0644", content = file("${local.repository}/infra/scylla/rookery-scylla-repair.service") },
      { path = "/etc/systemd/system/rookery-scylla-repair.timer", mode = "0644", content = file("${local.repository}/infra/scylla/rookery-scylla-repair.timer") },
      { path = "/etc/default/rookery-scylla-repair", mode = "0644", content = "KEYSPACES=\"rookery rookery_leases\"\n" },
    ]
    observability = local.machine.role != "observability" ? [] : concat([
      { path = "/etc/prometheus/prometheus.yml", mode = "0644", content = templatefile("${path.module}/templates/prometheus.yml.tftpl", local.context) },
      ], [for name in fileset("${local.repository}/infra/observability/rules", "*.yml") :
      { path = "/etc/prometheus/rules/${name}", mode = "0644", content = file("${local.repository}/infra/observability/rules/${name}") }
      ], [for name in fileset("${local.repository}/infra/observability/dashboards", "*.json") :
      { path = "/etc/grafana/dashboards/${name}", mode = "0644", content = file("${local.repository}/infra/observability/dashboards/${name}") }
    ])
  }
  scylla = join("\n", [
    replace(replace(
      file("${local.repository}/infra/scylla/scylla.yaml"),
      "SEED_1,SEED_2,SEED_3", join(",", local.context.seeds)),
    "/(?m)^(listen_address|rpc_address): ADDRESS$/", "$1: ${local.machine.private_ip}"),
    "# Other regions reach it at its public address, under TLS; its own region on the private network.",
    "broadcast_address: ${coalesce(local.machine.ipv4, local.machine.private_ip)}",
    "broadcast_rpc_address: ${local.machine.private_ip}",
    "",
  ])

  packages = concat(["nftables", "chrony"], {
    region        = ["haproxy", "curl", "ca-certificates"]
    voice         = ["coturn", "curl", "ca-certificates"]
    pop           = ["curl", "ca-certificates"]
    database      = var.database_apt_source == null ? [] : ["scylla"]
    bus           = ["nats-server"]
    geodns        = ["gdnsd", "curl", "ca-certificates"]
    observability = ["prometheus"]
  }[local.machine.role])

  install = var.release == null ? [] : [["/usr/local/sbin/rookery-install", var.release.url, var.release.sha256]]
  start = {
    # They wait for their credentials, and are started by whoever brings those.
    region = [["systemctl", "enable", "rookery-region.service", "haproxy.service"]]
    voice = [
      ["systemctl", "daemon-reload"], ["systemctl", "enable", "rookery-sfu.service", "coturn.service"],
      # Debian starts it with settings of its own.
      ["systemctl", "restart", "coturn.service"],
    ]
    pop = [["systemctl", "enable", "rookery-pop.service"]]
    geodns = concat(
      var.release == null ? [] : [["/usr/local/bin/rookery", "deployment", "geodns", "/etc/rookery/deployment.json", "--out", "/etc/gdnsd"]],
      [["systemctl", "enable", "gdnsd.service"]],
      var.release == null ? [] : [["systemctl", "restart", "gdnsd.service"]],
    )
    bus           = [["systemctl", "enable", "nats-server.service"]]
    database      = [["systemctl", "daemon-reload"]]
    observability = [["systemctl", "restart", "prometheus.service"]]
  }
  commands = concat(
    [["install", "-d", "-m", "0700", "/etc/rookery/credentials"]],
    [["sysctl", "--system"], ["systemctl", "enable", "--now", "nftables.service"], ["nft", "-f", "/etc/nftables.conf"]],
    contains(["region", "voice", "pop", "geodns"], local.machine.role) ? local.install : [],
    local.start[local.machine.role],
  )
  files = concat(local.common_files, local.role_files[local.machine.role])

  cloud_config = merge(
    {
      package_update  = true
      package_upgrade = true
      packages        = local.packages
      write_files = [for file in local.files : merge(
        { path = file.path, permissions = file.mode, owner = "root:root" },
        # Cloud-init has an end, and dashboards are long.
        length(file.content) < 4096 ? { content = file.content } : { content = base64gzip(file.content), encoding = "gz+b64" },
      )]
      runcmd     = local.commands
      ssh_pwauth = false
    },
    local.machine.role == "database" && var.database_apt_source != null ? {
      apt = { sources = { scylla = { source = var.database_apt_source } } }
    } : {},
  )
}
