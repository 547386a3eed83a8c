package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	// A packet that takes longer was lost.
	patience = 60 * time.Second
	// Between two packets, and as samples.
	packetTime      = 20 * time.Millisecond
	samplesOfPacket = 960
	// The number of a packet, at the beginning of its payload.
	numberBytes = 8
)

// order is one of these.
type order struct {
	// Offers of so many members; those who speak do not hear.
	Offer *struct {
		Count  int  `json:"count"`
		Speaks bool `json:"speaks"`
	} `json:"offer"`
	// Answers to the offers before; answered when all of them are connected.
	Connect []string `json:"connect"`
	// Bytes of the packets that the speaker sends on time, until everybody heard one: who is connected may be so before
	// the server is.
	Begin int `json:"begin"`
	// The speaker's packets, in bursts: the next one begins when everybody has all of the one before, and not before its
	// time has come, if they have one.
	Speak *struct {
		Bursts       int   `json:"bursts"`
		Each         int   `json:"each"`
		IntervalUs   int64 `json:"interval_us"`
		PayloadBytes int   `json:"payload_bytes"`
	} `json:"speak"`
}

// room is everybody of this process, at one server.
type room struct {
	api     *webrtc.API
	waiting []*member
	track   *webrtc.TrackLocalStaticRTP
	said    uint64
	// How many hear, how many of them have heard anything, and how many have the newest packet of a burst, which is
	// numbered last.
	listeners int
	begun     atomic.Int64
	last      atomic.Uint64
	have      atomic.Int64
	everybody chan struct{}
	failed    chan error
}

type member struct {
	connection *webrtc.PeerConnection
	connected  chan struct{}
	once       sync.Once
}

func (room *room) fail(err error) {
	select {
	case room.failed <- err:
	default:
	}
}

func (room *room) offer(speaks bool) (string, error) {
	connection, err := room.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	one := &member{connection: connection, connected: make(chan struct{})}
	connection.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			one.once.Do(func() { close(one.connected) })
		case webrtc.PeerConnectionStateFailed:
			room.fail(errors.New("a member is not connected any more"))
		default:
		}
	})
	if speaks {
		sender, err := connection.AddTransceiverFromTrack(
			room.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return "", err
		}
		go readReports(sender.Sender())
	} else {
		room.listeners++
		connection.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { room.listen(remote) })
		if _, err := connection.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio,
			webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return "", err
		}
	}
	own, err := connection.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(connection)
	if err := connection.SetLocalDescription(own); err != nil {
		return "", err
	}
	<-gathered
	room.waiting = append(room.waiting, one)
	return connection.LocalDescription().SDP, nil
}

func (room *room) connect(answers []string) error {
	if len(answers) != len(room.waiting) {
		return fmt.Errorf("%d answers to %d offers", len(answers), len(room.waiting))
	}
	for at, one := range room.waiting {
		description := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answers[at]}
		if err := one.connection.SetRemoteDescription(description); err != nil {
			return err
		}
	}
	for _, one := range room.waiting {
		select {
		case <-one.connected:
		case err := <-room.failed:
			return err
		case <-time.After(patience):
			return errors.New("a member is not connected")
		}
	}
	room.waiting = nil
	return nil
}

// listen takes what one member hears: from the first packet on every one, once, in order.
func (room *room) listen(remote *webrtc.TrackRemote) {
	buffer := make([]byte, datagramBytes)
	var packet rtp.Packet
	var heard uint64
	for {
		length, _, err := remote.Read(buffer)
		if err != nil {
			room.fail(err)
			return
		}
		if err := packet.Unmarshal(buffer[:length]); err != nil || len(packet.Payload) < numberBytes {
			room.fail(fmt.Errorf("%d bytes are no packet: %w", length, err))
			return
		}
		number := binary.BigEndian.Uint64(packet.Payload)
		if heard == 0 {
			if heard = number; room.begun.Add(1) == int64(room.listeners) {
				room.everybody <- struct{}{}
			}
			continue
		}
		if heard++; number != heard {
			room.fail(fmt.Errorf("packet %d came where %d is next", number, heard))
			return
		}
		if number == room.last.Load() && room.have.Add(1) == int64(room.listeners) {
			room.everybody <- struct{}{}
		}
	}
}

// say sends the speaker's next packet.
func (room *room) say(payload []byte) error {
	room.said++
	binary.BigEndian.PutUint64(payload, room.said)
	header := rtp.Header{Version: 2, SequenceNumber: uint16(room.said), Timestamp: uint32(room.said) * samplesOfPacket}
	return room.track.WriteRTP(&rtp.Packet{Header: header, Payload: payload})
}

func (room *room) begin(payloadBytes int) error {
	payload := make([]byte, payloadBytes)
	ticker := time.NewTicker(packetTime)
	defer ticker.Stop()
	late := time.After(patience)
	for {
		if err := room.say(payload); err != nil {
			return err
		}
		select {
		case <-room.everybody:
			return nil
		case err := <-room.failed:
			return err
		case <-late:
			return fmt.Errorf("%d of %d hear anything", room.begun.Load(), room.listeners)
		case <-ticker.C:
		}
	}
}

func (room *room) speak(bursts, each int, interval time.Duration, payloadBytes int) error {
	payload := make([]byte, payloadBytes)
	due := time.Now()
	for range bursts {
		time.Sleep(time.Until(due))
		due = due.Add(interval)
		room.have.Store(0)
		room.last.Store(room.said + uint64(each))
		for range each {
			if err := room.say(payload); err != nil {
				return err
			}
		}
		select {
		case <-room.everybody:
		case err := <-room.failed:
			return err
		case <-time.After(patience):
			return fmt.Errorf("%d of %d have packet %d", room.have.Load(), room.listeners, room.said)
		}
	}
	return nil
}

func (room *room) carryOut(todo *order) (any, error) {
	switch {
	case todo.Offer != nil:
		offers := []string{}
		for range todo.Offer.Count {
			offer, err := room.offer(todo.Offer.Speaks)
			if err != nil {
				return nil, err
			}
			offers = append(offers, offer)
		}
		return offers, nil
	case todo.Connect != nil:
		return len(todo.Connect), room.connect(todo.Connect)
	case todo.Begin > 0:
		return room.listeners, room.begin(todo.Begin)
	case todo.Speak != nil:
		interval := time.Duration(todo.Speak.IntervalUs) * time.Microsecond
		return room.listeners, room.speak(todo.Speak.Bursts, todo.Speak.Each, interval, todo.Speak.PayloadBytes)
	}
	return nil, errors.New("an order says what to do")
}

// members are in a room of one server, until nobody asks any more: an order in a line, its answer in a line.
func members() error {
	var settings webrtc.SettingEngine
	// The one that the node chooses, so that no server has a cheaper one.
	settings.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM)
	// The node's answers do not name whom its members will hear.
	settings.SetHandleUndeclaredSSRCWithoutAnswer(true)
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	track, err := webrtc.NewTrackLocalStaticRTP(opus, "audio", "member")
	if err != nil {
		return err
	}
	all := &room{api: newAPI(settings), track: track, everybody: make(chan struct{}), failed: make(chan error, 1)}
	orders := json.NewDecoder(os.Stdin)
	for {
		var todo order
		if err := orders.Decode(&todo); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		done, err := all.carryOut(&todo)
		if err != nil {
			return err
		}
		if err := answer(done); err != nil {
			return err
		}
	}
}
