package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

const (
	keyBytes     = 32
	saltBytes    = 12
	datagram     = 2048
	socketBuffer = 4 << 20
)

type loopOrder struct {
	Receivers []uint16 `json:"receivers"`
}

type receiver struct {
	address netip.AddrPort
	context *srtp.Context
	ssrc    uint32
}

func newReceiver(port uint16) (*receiver, error) {
	secret := make([]byte, keyBytes+saltBytes)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	context, err := srtp.CreateContext(secret[:keyBytes], secret[keyBytes:], srtp.ProtectionProfileAeadAes256Gcm)
	if err != nil {
		return nil, err
	}
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	return &receiver{address: address, context: context, ssrc: uint32(port)}, nil
}

func forward(socket *net.UDPConn, receivers []*receiver) error {
	incoming, outgoing := make([]byte, datagram), make([]byte, datagram)
	var packet rtp.Packet
	for {
		length, _, err := socket.ReadFromUDPAddrPort(incoming)
		if err != nil {
			return err
		}
		if err := packet.Unmarshal(incoming[:length]); err != nil {
			continue
		}
		for _, to := range receivers {
			packet.Header.SSRC = to.ssrc
			plain, err := packet.MarshalTo(outgoing[:cap(outgoing)])
			if err != nil {
				return err
			}
			sealed, err := to.context.EncryptRTP(outgoing, outgoing[:plain], nil)
			if err != nil {
				return err
			}
			if _, err := socket.WriteToUDPAddrPort(sealed, to.address); err != nil {
				return err
			}
		}
	}
}

// Forwards the packets of one speaker to many receivers, each encrypted to a key of its own: RTP and SRTP around one socket,
// without anything else that a server has. What it is told and says is described in bench/src/voice/peers.rs.
func loop() error {
	var told loopOrder
	decoder := json.NewDecoder(os.Stdin)
	if err := decoder.Decode(&told); err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	// Whatever the kernel gives of it is good.
	_ = socket.SetReadBuffer(socketBuffer)
	_ = socket.SetWriteBuffer(socketBuffer)
	var receivers []*receiver
	for _, port := range told.Receivers {
		one, err := newReceiver(port)
		if err != nil {
			return err
		}
		receivers = append(receivers, one)
	}
	port := socket.LocalAddr().(*net.UDPAddr).Port
	fmt.Printf("{\"port\":%d,\"pid\":%d,\"version\":%q}\n", port, os.Getpid(), version("github.com/pion/srtp/v3"))
	failed := make(chan error, 1)
	go func() { failed <- forward(socket, receivers) }()
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	return <-failed
}
