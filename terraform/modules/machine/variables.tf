variable "machine" {
  description = "One of modules/deployment's machines."
  type = object({
    name        = string
    role        = string
    region      = string
    location    = string
    server_type = string
    private_ip  = string
    ipv4        = optional(string)
    ipv6        = optional(string)
  })
}

variable "deployment_name" {
  description = "What the deployment is called; the first part of every name in the account."
  type        = string
}

variable "user_data" {
  description = "cloud-init of modules/node-config."
  type        = string
}

variable "subnet_id" {
  description = "Subnet of the region's private network."
  type        = string
}

variable "placement_group_id" {
  description = "Machines of one spread group stand on different hosts."
  type        = number
  default     = null
}

variable "ssh_keys" {
  description = "Names of SSH keys in the account."
  type        = list(string)
}
