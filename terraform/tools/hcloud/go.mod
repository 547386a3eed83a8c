// The provider, pinned: `cargo xtask terraform` builds it where no registry is to be asked.
module rookery.example/terraform/hcloud

go 1.26.4

require github.com/hetznercloud/terraform-provider-hcloud v1.68.0
