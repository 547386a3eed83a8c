# This file is maintained automatically by "terraform init".
# Manual edits may be lost in future updates.

provider "registry.terraform.io/hetznercloud/hcloud" {
  version     = "1.68.0"
  constraints = "1.68.0"
  hashes = [
    "h1:leiv6BZUdONK1Bxmmn4n5SLiP9A8aSUJJP07KEbBnjo=",
  ]
}
