//go:build tools

// Package nats names the server, so that its module stays in go.mod.
package nats

import _ "github.com/nats-io/nats-server/v2"
