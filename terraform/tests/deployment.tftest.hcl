# What modules/deployment takes and refuses.

run "the_example_is_taken" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = file("../deployment/example.json") }

  assert {
    condition     = length(output.machines) == 23
    error_message = "2 nodes, 2 voice nodes, 3 points of presence, 6 nodes of the database, 6 NATS servers, 2 name servers, 2 Prometheus: ${length(output.machines)}"
  }
  assert {
    condition     = output.machines["eu-node-eu-1"].private_ip == "10.1.0.10" && output.machines["us-bus-3"].private_ip == "10.2.0.32" && output.machines["us-voice-us-voice-1"].private_ip == "10.2.0.45"
    error_message = "Private addresses are not where nats_urls and firewalls expect them."
  }
  assert {
    condition     = output.machines["eu-pop-fsn"].ipv6 == "2001:db8:1::1" && output.machines["eu-pop-hel"].ipv6 == null
    error_message = "The IPv6 address is that of the file, or none."
  }
}

run "a_region_more_is_one_block_more" {
  command = plan
  module { source = "./modules/deployment" }
  variables {
    text = jsonencode(merge(jsondecode(file("../deployment/example.json")), {
      durability = "global"
      regions = concat(jsondecode(file("../deployment/example.json")).regions, [merge(
        jsondecode(file("../deployment/example.json")).regions[1], {
          name      = "ap", data_center = "ap", pops = [], voice_nodes = []
          nats_urls = ["nats://10.3.0.30:4222"]
          nodes     = [{ name = "ap-1", number = 3, link = "192.0.2.200:8082", gateway = "wss://ap-1.chat.example.org", addresses = ["192.0.2.200"] }]
          machines = merge(jsondecode(file("../deployment/example.json")).regions[1].machines, {
            location           = "sin", network_zone = "ap-southeast", network = "10.3.0.0/24"
            database_addresses = ["192.0.2.201"], bus_addresses = ["192.0.2.202"], observability_type = null
          })
        })
      ])
    }))
  }

  assert {
    condition     = length(output.machines) == 26 && output.machines["ap-node-ap-1"].location == "sin"
    error_message = "One node, one of the database, one of NATS: ${join(" ", keys(output.machines))}"
  }
}

run "no_json_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = "{" }
  expect_failures = [var.text]
}

run "no_region_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = jsonencode({ name = "x", domain = "x.example", regions = [] }) }
  expect_failures = [var.text]
}

run "an_unknown_default_home_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "\"default_home\": \"eu\"", "\"default_home\": \"mars\"") }
  expect_failures = [output.deployment, output.machines]
}

run "a_name_server_in_an_unknown_region_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "\"region\": \"us\"", "\"region\": \"mars\"") }
  expect_failures = [output.deployment, output.machines]
}

run "a_node_number_twice_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "\"number\": 2,\n          \"link\"", "\"number\": 1,\n          \"link\"") }
  expect_failures = [output.deployment, output.machines]
}

run "a_node_number_out_of_range_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "\"number\": 2,\n          \"link\"", "\"number\": 128,\n          \"link\"") }
  expect_failures = [output.deployment, output.machines]
}

run "a_voice_nodes_number_twice_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "\"us-voice-1\", \"number\": 2", "\"us-voice-1\", \"number\": 1") }
  expect_failures = [output.deployment, output.machines]
}

run "voice_nodes_without_a_type_to_rent_are_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "\"voice_type\": \"ccx13\",", "") }
  expect_failures = [output.deployment, output.machines]
}

run "global_with_two_regions_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "\"durability\": \"regional\"", "\"durability\": \"global\"") }
  expect_failures = [output.deployment, output.machines]
}

run "a_network_that_is_none_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "\"network\": \"10.2.0.0/16\"", "\"network\": \"10.2.0.0/33\"") }
  expect_failures = [output.deployment, output.machines]
}

run "a_network_that_is_too_small_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "\"network\": \"10.2.0.0/16\"", "\"network\": \"10.2.0.0/28\"") }
  expect_failures = [output.deployment, output.machines]
}

run "a_client_network_that_is_none_is_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "203.0.113.128/25", "203.0.113.300/25") }
  expect_failures = [output.deployment, output.machines]
}

run "bus_addresses_that_do_not_match_the_machines_are_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables { text = replace(file("../deployment/example.json"), "nats://10.2.0.31:4222", "nats://10.2.0.99:4222") }
  expect_failures = [output.deployment, output.machines]
}

run "more_machines_than_there_is_room_for_are_refused" {
  command = plan
  module { source = "./modules/deployment" }
  variables {
    text = jsonencode(merge(jsondecode(file("../deployment/example.json")), {
      regions = [merge(jsondecode(file("../deployment/example.json")).regions[0], {
        pops = [for number in range(25) : { name = "p${number}", addresses = ["192.0.2.${100 + number}"] }]
      }), jsondecode(file("../deployment/example.json")).regions[1]]
    }))
  }
  expect_failures = [output.deployment, output.machines]
}
