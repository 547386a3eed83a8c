# What one machine is told.

variables {
  machine = {
    name       = "eu-node-eu-1"
    role       = "region"
    region     = "eu"
    node       = "eu-1"
    number     = 1
    private_ip = "10.1.0.10"
    ipv4       = "192.0.2.10"
  }
  machines = {
    "eu-node-eu-1" = { name = "eu-node-eu-1", role = "region", region = "eu", node = "eu-1", private_ip = "10.1.0.10", ipv4 = "192.0.2.10", ipv6 = null }
    "eu-db-1"      = { name = "eu-db-1", role = "database", region = "eu", node = "1", private_ip = "10.1.0.100", ipv4 = "192.0.2.20", ipv6 = null }
    "us-db-1"      = { name = "us-db-1", role = "database", region = "us", node = "1", private_ip = "10.2.0.100", ipv4 = "198.51.100.20", ipv6 = null }
  }
  deployment      = jsondecode(file("../deployment/example.json"))
  deployment_text = file("../deployment/example.json")
  admin_networks  = ["203.0.113.0/24"]
}

run "a_node_knows_its_region_and_asks_its_own_database" {
  command = plan
  module { source = "./modules/node-config" }

  assert {
    condition = alltrue([for line in [
      "name = \"eu\"", "worker_id = 1", "contact_points = [\"10.1.0.100:9042\"]", "public_url = \"wss://eu-1.chat.example.org\"",
    ] : strcontains([for file in output.files : file.content if file.path == "/etc/rookery/region.toml"][0], line)])
    error_message = "region.toml lacks something."
  }
  assert {
    condition     = !strcontains([for file in output.files : file.content if file.path == "/etc/rookery/region.toml"][0], "deployment_file")
    error_message = "Regions are told of the others only where that is asked for."
  }
  assert {
    condition     = [for file in output.files : file.content if file.path == "/etc/rookery/deployment.json"][0] == var.deployment_text
    error_message = "Machines read the file as it is."
  }
}

run "several_nodes_are_told_of_each_other" {
  command = plan
  module { source = "./modules/node-config" }
  variables { multi_node = true }

  assert {
    condition = alltrue([for line in [
      "deployment_file = \"/etc/rookery/deployment.json\"", "name = \"eu\"", "node = \"eu-1\"", "[bus]",
    ] : strcontains([for file in output.files : file.content if file.path == "/etc/rookery/region.toml"][0], line)])
    error_message = "region.toml lacks something."
  }
}

run "servers_of_the_bus_are_let_in_by_each_other_alone" {
  command = plan
  module { source = "./modules/node-config" }
  variables {
    machine = { name = "eu-bus-1", role = "bus", region = "eu", node = "1", private_ip = "10.1.0.30", ipv4 = "192.0.2.30" }
    machines = {
      "eu-bus-1" = { name = "eu-bus-1", role = "bus", region = "eu", node = "1", private_ip = "10.1.0.30", ipv4 = "192.0.2.30", ipv6 = null }
      "eu-bus-2" = { name = "eu-bus-2", role = "bus", region = "eu", node = "2", private_ip = "10.1.0.31", ipv4 = "192.0.2.31", ipv6 = null }
    }
  }

  assert {
    condition     = strcontains([for file in output.files : file.content if file.path == "/etc/nftables.conf"][0], "ip saddr { 10.1.0.30, 10.1.0.31 } tcp dport 6222 accept")
    error_message = "The port of routes is open to others."
  }
  assert {
    condition     = length(regexall("verify: true", [for file in output.files : file.content if file.path == "/etc/nats-server.conf"][0])) == 3
    error_message = "Clients, routes and gateways all show certificates."
  }
}

run "a_voice_node_is_told_its_addresses_and_has_a_relay" {
  command = plan
  module { source = "./modules/node-config" }
  variables {
    machine = { name = "eu-voice-eu-voice-1", role = "voice", region = "eu", node = "eu-voice-1", number = 1, private_ip = "10.1.0.45", ipv4 = "192.0.2.40" }
    machines = {
      "eu-voice-eu-voice-1" = { name = "eu-voice-eu-voice-1", role = "voice", region = "eu", node = "eu-voice-1", private_ip = "10.1.0.45", ipv4 = "192.0.2.40", ipv6 = null }
      "us-voice-us-voice-1" = { name = "us-voice-us-voice-1", role = "voice", region = "us", node = "us-voice-1", private_ip = "10.2.0.45", ipv4 = "198.51.100.40", ipv6 = null }
      "eu-obs"              = { name = "eu-obs", role = "observability", region = "eu", node = "obs", private_ip = "10.1.0.90", ipv4 = null, ipv6 = null }
    }
  }

  assert {
    condition = alltrue([for line in [
      "region = \"eu\"", "node = \"eu-voice-1\"", "operator = \"10.1.0.45:8092\"", "endpoint = \"eu-voice-1.chat.example.org:443\"",
      "gateway = \"[::]:443\"", "advertised_ip = \"192.0.2.40\"", "node = 1", "urls = [\"nats://10.1.0.30:4222\",",
      "turn:eu-voice-1.chat.example.org:3478?transport=udp",
    ] : strcontains([for file in output.files : file.content if file.path == "/etc/rookery/sfu.toml"][0], line)])
    error_message = "sfu.toml lacks something."
  }
  assert {
    condition = alltrue([for line in [
      "use-auth-secret", "realm=chat.example.org", "denied-peer-ip=0.0.0.0-255.255.255.255", "allowed-peer-ip=192.0.2.40", "allowed-peer-ip=198.51.100.40",
    ] : strcontains([for file in output.files : file.content if file.path == "/etc/rookery/turnserver.conf"][0], line)])
    error_message = "turnserver.conf lacks something."
  }
  assert {
    condition = alltrue([for line in [
      "tcp dport 443 accept", "udp dport 50000-50255 accept", "ip saddr { 192.0.2.40, 198.51.100.40 } udp dport 51000-65535 accept", "8092",
    ] : strcontains([for file in output.files : file.content if file.path == "/etc/nftables.conf"][0], line)])
    error_message = "The firewall keeps something out."
  }
  assert {
    condition     = contains(output.packages, "coturn") && contains(output.commands, ["systemctl", "restart", "coturn.service"])
    error_message = "There is no relay."
  }
}

run "a_release_is_installed_with_its_hash" {
  command = plan
  module { source = "./modules/node-config" }
  variables { release = { url = "https://example.org/rookery", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }

  assert {
    condition     = contains(output.commands, ["/usr/local/sbin/rookery-install", "https://example.org/rookery", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"])
    error_message = "Nothing installs the release."
  }
}

run "seeds_are_one_of_each_data_centre" {
  command = plan
  module { source = "./modules/node-config" }
  variables {
    machine = { name = "us-db-1", role = "database", region = "us", node = "1", private_ip = "10.2.0.100", ipv4 = "198.51.100.20" }
  }

  assert {
    condition = alltrue([for line in [
      "seeds: \"192.0.2.20,198.51.100.20\"", "listen_address: 10.2.0.100", "broadcast_address: 198.51.100.20", "commitlog_sync: batch",
    ] : strcontains([for file in output.files : file.content if file.path == "/etc/scylla/scylla.yaml"][0], line)])
    error_message = "scylla.yaml lacks something."
  }
  assert {
    condition     = !can(regex("ADDRESS|SEED_|REGION|RACK", join("\n", [for file in output.files : replace(file.content, "/(?m)^#.*$/", "") if startswith(file.path, "/etc/scylla/")])))
    error_message = "A placeholder is left."
  }
}

run "a_role_that_there_is_not_is_refused" {
  command = plan
  module { source = "./modules/node-config" }
  variables {
    machine = { name = "x", role = "toaster", region = "eu", node = "1", private_ip = "10.1.0.10" }
  }
  expect_failures = [var.machine]
}

run "an_operators_network_that_is_none_is_refused" {
  command = plan
  module { source = "./modules/node-config" }
  variables { admin_networks = ["203.0.113.0/33"] }
  expect_failures = [var.admin_networks]
}

run "a_release_without_a_hash_is_refused" {
  command = plan
  module { source = "./modules/node-config" }
  variables { release = { url = "https://example.org/rookery", sha256 = "latest" } }
  expect_failures = [var.release]
}

run "a_release_over_plain_http_is_refused" {
  command = plan
  module { source = "./modules/node-config" }
  variables { release = { url = "http://example.org/rookery", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  expect_failures = [var.release]
}
