# The whole, against an account that is played.

mock_provider "hcloud" {
  mock_resource "hcloud_network" {
    defaults = { id = "1" }
  }
  mock_resource "hcloud_network_subnet" {
    defaults = { id = "1-10.0.0.0/16" }
  }
  mock_resource "hcloud_server" {
    defaults = { id = "2", ipv4_address = "192.0.2.99" }
  }
  mock_resource "hcloud_placement_group" {
    defaults = { id = "3" }
  }
  # Not the id of addresses: the provider calls it no computed field, and OpenTofu plays none but those.
}

variables {
  deployment_file = "../deployment/example.json"
  admin_networks  = ["203.0.113.0/24", "2001:db8:ad::/48"]
  ssh_keys        = ["operator"]
  hcloud_token    = "0000000000000000000000000000000000000000000000000000000000000000"
}

run "two_regions_are_built" {
  assert {
    condition = (
      length(output.servers.region) == 2 && length(output.servers.voice) == 2 && length(output.servers.pop) == 3 && length(output.servers.database) == 6 &&
      length(output.servers.bus) == 6 && length(output.servers.geodns) == 2 && length(output.servers.observability) == 2
    )
    error_message = "The machines are not those of the file: ${jsonencode(output.servers)}"
  }
  assert {
    condition     = module.region["us"].subnet_id != null
    error_message = "The region us has no network."
  }
  assert {
    condition     = output.name_servers == null
    error_message = "With name servers of its own the deployment needs no zone in the cloud."
  }
}

run "no_secret_is_in_what_the_state_keeps" {
  command = plan

  assert {
    condition     = alltrue([for config in module.config : !can(regex("PRIVATE KEY|0000000000000000|password: [^.…]", config.user_data))])
    error_message = "cloud-init stays readable in the state and on the machine."
  }
}

run "the_clouds_dns_has_every_point_of_presence" {
  variables { dns = "hcloud" }

  assert {
    condition     = length(output.servers.geodns) == 0
    error_message = "There are name servers beside the cloud's."
  }
  assert {
    condition = (
      sort(module.cloud_dns[0].records["@ A"]) == tolist(["192.0.2.1", "192.0.2.2", "198.51.100.1"]) &&
      module.cloud_dns[0].records["@ AAAA"] == tolist(["2001:db8:1::1"]) &&
      module.cloud_dns[0].records["eu-1 A"] == tolist(["192.0.2.10"]) &&
      module.cloud_dns[0].records["eu-voice-1 A"] == tolist(["192.0.2.40"]) &&
      module.cloud_dns[0].records["ash.pop A"] == tolist(["198.51.100.1"])
    )
    error_message = "The records are not those of the file: ${jsonencode(module.cloud_dns[0].records)}"
  }
}

run "a_dns_that_there_is_not_is_refused" {
  command = plan
  variables { dns = "route53" }
  expect_failures = [var.dns]
}

run "machines_that_nobody_could_sign_in_to_are_refused" {
  command = plan
  variables { ssh_keys = [] }
  expect_failures = [var.ssh_keys]
}
